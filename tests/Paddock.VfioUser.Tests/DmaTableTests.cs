using Paddock.Posix;
using Paddock.Testing.Protocols.VfioUser;
using Paddock.VfioUser.Memory;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>Lookup, copies and the end of memory regions.</summary>
public sealed class DmaTableTests : IDmaMessages, IDisposable
{
    private const int Block = 4096;
    private const DmaFlags Both = DmaFlags.Readable | DmaFlags.Writable;

    private readonly DeviceMemory _memory = new(1 << 20);
    private readonly DmaTable _table;
    private readonly List<(ulong Address, int Length)> _messages = [];
    private int _suspensions;

    public DmaTableTests() => _table = new DmaTable(this);

    [Fact]
    public void Copy_spans_adjacent_regions()
    {
        Add(0x1000, 0x1000, 0x5000);
        Add(0x2000, 0x1000, 0x1000);
        byte[] data = new byte[0x1800];
        new Random(1).NextBytes(data);
        Assert.True(_table.TryWrite(0x1400, data));
        Assert.Equal(data[..0xC00], _memory.Span(0x5400, 0xC00).ToArray());
        Assert.Equal(data[0xC00..], _memory.Span(0x1000, 0xC00).ToArray());
        byte[] back = new byte[data.Length];
        Assert.True(_table.TryRead(0x1400, back));
        Assert.Equal(data, back);
    }

    [Theory]
    [InlineData(0xFFFul, 2)]
    [InlineData(0x2FFFul, 2)]
    [InlineData(0x3000ul, 1)]
    [InlineData(ulong.MaxValue, 1)]
    public void Copy_outside_regions_fails(ulong address, int length)
    {
        Add(0x1000, 0x2000);
        Assert.False(_table.TryRead(address, new byte[length]));
        Assert.False(_table.TryWrite(address, new byte[length]));
    }

    [Fact]
    public void Access_is_as_the_client_permits()
    {
        Add(0, 0x1000, flags: DmaFlags.Readable);
        Add(0x1000, 0x1000, 0x1000, DmaFlags.Writable);
        Assert.True(_table.TryRead(0, new byte[16]));
        Assert.False(_table.TryWrite(0, new byte[16]));
        Assert.False(_table.TryRead(0x1000, new byte[16]));
        Assert.True(_table.TryWrite(0x1000, new byte[16]));
    }

    [Fact]
    public void Regions_without_file_are_accessed_with_messages()
    {
        _table.Add(new DmaRegion(new DmaMap(Both, 0, 0x1000, 0x1000), null));
        Add(0x2000, 0x1000);
        Assert.True(_table.TryRead(0x1800, new byte[0x1000]));
        Assert.Equal([(0x1800ul, 0x800)], _messages);
    }

    [Fact]
    public void Removal_needs_the_exact_range()
    {
        Add(0x1000, 0x2000);
        Assert.False(_table.TryRemove(0x1000, 0x1000));
        Assert.False(_table.TryRemove(0x2000, 0x1000));
        Assert.Equal(0x2000ul, _table.MappedBytes);
        Assert.True(_table.TryRemove(0x1000, 0x2000));
        Assert.Equal((0, 0ul), (_table.Count, _table.MappedBytes));
        Assert.False(_table.TryRead(0x1000, new byte[1]));
    }

    [Fact]
    public void Copy_that_waits_for_its_region_fails_when_it_is_stopped()
    {
        Add(0, 0x1000);
        _table.Clear();
        bool? written = null;
        var copy = new Thread(() => written = _table.TryWrite(0, [1, 2, 3, 4]));
        copy.Start();
        Assert.True(SpinWait.SpinUntil(() => copy.ThreadState == ThreadState.WaitSleepJoin || !copy.IsAlive, TimeSpan.FromSeconds(30)));
        _table.Stop();
        Add(0, 0x1000);
        copy.Join();
        Assert.False(written);
        Assert.Equal(new byte[4], _memory.Span(0, 4).ToArray());
        Assert.Equal(1, _suspensions);
        Assert.False(_table.TryRead(0, new byte[4]));
        _table.Resume();
        Assert.True(_table.TryRead(0, new byte[4]));
        Assert.Equal(0, _suspensions);
    }

    [Theory]
    [InlineData(0x0FFFul, 0x1000ul, true)]
    [InlineData(0x0000ul, 0x0FFFul, false)]
    [InlineData(0x1800ul, 0x1801ul, true)]
    [InlineData(0x1FFFul, 0x1FFFul, true)]
    [InlineData(0x2000ul, ulong.MaxValue, false)]
    [InlineData(0ul, ulong.MaxValue, true)]
    public void Overlaps_are_found(ulong address, ulong last, bool overlaps)
    {
        Add(0x1000, 0x1000);
        Assert.Equal(overlaps, _table.Overlaps(address, last));
    }

    [Fact]
    public void Copies_allocate_nothing()
    {
        Add(0, 1 << 20);
        byte[] data = new byte[Block];
        Allocations.AssertNone(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                Assert.True(_table.TryRead(0x800, data) && _table.TryWrite(0x800, data));
            }
        });
    }

    // a copy that used a region after its end would terminate the process
    [Fact]
    public async Task Regions_come_and_go_under_copies()
    {
        using var stop = new CancellationTokenSource();
        long done = 0;
        var copies = Enumerable.Range(0, 2).Select(worker => Task.Run(() =>
        {
            byte[] data = new byte[200 << 10];
            while (!stop.IsCancellationRequested)
            {
                if (_table.TryRead(0x1000, data) && _table.TryWrite(0x1000 + (ulong)(worker * 64), data.AsSpan(0, 4)))
                {
                    Interlocked.Increment(ref done);
                }
            }
        })).ToArray();
        for (int i = 0; i < 300; i++)
        {
            Add(0, 1 << 20);
            if (i % 3 == 0)
            {
                _table.Clear();
            }
            else
            {
                Assert.True(_table.TryRemove(0, 1 << 20));
            }
        }

        Add(0, 1 << 20);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref done) > 0, TimeSpan.FromSeconds(30)));
        await stop.CancelAsync();
        await Task.WhenAll(copies);
        _table.Clear();
        Assert.False(_table.TryRead(0x1000, new byte[1]));
    }

    bool IDmaMessages.TryRead(ulong address, Span<byte> to)
    {
        _messages.Add((address, to.Length));
        return true;
    }

    bool IDmaMessages.TryWrite(ulong address, ReadOnlySpan<byte> from)
    {
        _messages.Add((address, from.Length));
        return true;
    }

    void IDmaMessages.Suspend() => _suspensions++;

    void IDmaMessages.Resume() => _suspensions--;

    public void Dispose()
    {
        _table.Dispose();
        _memory.Dispose();
    }

    private void Add(ulong address, int length, long offset = 0, DmaFlags flags = Both)
        => _table.Add(new DmaRegion(
            new DmaMap(flags, (ulong)offset, address, (ulong)length), SharedMemory.Map(_memory.File, offset, length)));
}
