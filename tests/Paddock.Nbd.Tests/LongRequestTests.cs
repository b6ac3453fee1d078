using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Requests whose cost is that of the whole disk.</summary>
public class LongRequestTests
{
    [Fact]
    public async Task A_client_that_hung_up_ends_its_long_requests_even_where_they_fill_its_queue()
    {
        var device = new EndlessDevice();
        await using var bench = Bench.Of(device);
        using (var client = bench.Connect())
        {
            client.Handshake(HeaderForm.Extended);

            // more than the receive loop takes: it waits for them, and cannot see that the client leaves
            for (int i = 0; i < NbdLimits.MaxInFlight + 50; i++)
            {
                client.Send(Extended(NbdCommand.Cache, (ulong)i, EndlessDevice.Size));
            }

            await UntilAsync(() => device.Reads > 8);
        }

        await UntilAsync(() => bench.Server.Connections == 0);
    }

    [Fact]
    public async Task A_client_that_said_goodbye_and_left_ends_its_long_requests()
    {
        var device = new EndlessDevice();
        await using var bench = Bench.Of(device);
        using (var client = bench.Connect())
        {
            client.Handshake(HeaderForm.Extended);
            client.Send(Extended(NbdCommand.WriteZeroes, 1, EndlessDevice.Size));
            await UntilAsync(() => device.Zeroes > 2);
            client.Send(Extended(NbdCommand.Disconnect, 2, 0));
        }

        await UntilAsync(() => bench.Server.Connections == 0);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(4)]
    public async Task A_stop_waits_for_long_requests_no_longer_than_its_limit(int command)
    {
        var device = new EndlessDevice();
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended);
        for (int i = 0; i < 20; i++)
        {
            client.Send(Extended((NbdCommand)command, (ulong)i, EndlessDevice.Size));
        }

        await UntilAsync(() => device.Reads + device.Zeroes > 8);
        await bench.Server.StopAsync(TimeSpan.FromMilliseconds(100)).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task One_client_has_one_long_request_under_way_and_others_are_answered_meanwhile()
    {
        var device = new EndlessDevice();
        await using var bench = Bench.Of(device);
        using var greedy = bench.Connect();
        greedy.Handshake(HeaderForm.Extended);
        for (int i = 0; i < 200; i++)
        {
            greedy.Send(Extended(NbdCommand.Cache, (ulong)i, EndlessDevice.Size));
        }

        await UntilAsync(() => device.Reads > 8);
        using var modest = bench.Connect();
        modest.Handshake(HeaderForm.Structured, "", "base:allocation");
        foreach (var (command, length) in new[] { (NbdCommand.BlockStatus, 1u << 31), (NbdCommand.Cache, 4u << 20), (NbdCommand.Trim, 1u << 30) })
        {
            modest.Ask(command, 9, 0, length);
            Assert.False(command == NbdCommand.BlockStatus ? modest.Chunk().Head.IsError : modest.Simple().Error != NbdError.None);
        }

        // one of the greedy client, and one of the modest one while it had one
        Assert.InRange(device.MostReadsAtOnce, 1, 2);
    }

    [Fact]
    public async Task Long_zeroes_go_in_pieces_and_are_flushed_at_their_end()
    {
        var device = new EndlessDevice();
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended);
        client.Send(Extended(NbdCommand.WriteZeroes, 1, 4L << 30, CommandFlags.Fua));
        Assert.False(client.ExtendedChunk().Head.IsError);
        Assert.InRange(device.Zeroes, 100, 1000);
        Assert.Equal(1, device.Flushes);
        client.Send(Extended(NbdCommand.WriteZeroes, 2, 4L << 30, CommandFlags.FastZero));
        int before = device.Zeroes;
        Assert.False(client.ExtendedChunk().Head.IsError);
        Assert.Equal(before + 1, device.Zeroes);
    }

    private static byte[] Extended(NbdCommand command, ulong cookie, long length, CommandFlags flags = 0)
    {
        byte[] bytes = new byte[ExtendedRequest.Size];
        ExtendedRequest.Write(bytes, new NbdRequest(flags, command, cookie, 0, (ulong)length));
        return bytes;
    }

    private static async Task UntilAsync(Func<bool> isSo)
    {
        for (int i = 0; i < 6000 && !isSo(); i++)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(isSo());
    }

    /// <summary>A disk of 2^60 bytes that holds nothing; it blocks the caller's thread, as a file does.</summary>
    private sealed class EndlessDevice : IBlockDevice
    {
        public const long Size = 1L << 60;

        private int _reads, _zeroes, _flushes, _now, _most;

        public int Reads => Volatile.Read(ref _reads);

        public int Zeroes => Volatile.Read(ref _zeroes);

        public int Flushes => Volatile.Read(ref _flushes);

        public int MostReadsAtOnce => Volatile.Read(ref _most);

        public long Length => Size;

        public IBlockDevice? Backing => null;

        public IZones? Zones => null;

        public void ThrowIfFlushFailed()
        {
        }

        public bool IsReadOnly => false;

        public BlockLimits Limits => BlockLimits.Bytes;

        public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int now = Interlocked.Increment(ref _now);
            for (int most = _most; now > most && Interlocked.CompareExchange(ref _most, now, most) != most; most = _most)
            {
            }

            Thread.SpinWait(2000);
            Interlocked.Increment(ref _reads);
            Interlocked.Decrement(ref _now);
            return default;
        }

        public ValueTask WriteAsync(
            long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default) => default;

        public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _zeroes);
            return default;
        }

        public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _zeroes);
            return default;
        }

        public ValueTask FlushAsync(CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _flushes);
            return default;
        }

        public ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
            => throw new BlockException(BlockError.NotSupported, "no");

        public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
            => new(new BlockStatus(Math.Min(length, 65536 - (offset % 65536)), BlockStatusFlags.Allocated | BlockStatusFlags.Data));

        public ValueTask DisposeAsync() => default;
    }
}
