using Paddock.Block;

namespace Paddock.VhostUser.Tests;

/// <summary>A disk in memory that writes down its writes, and can keep them waiting.</summary>
internal sealed class TestDisk : IBlockDevice
{
    private readonly RawDevice _disk;

    public TestDisk(long size)
    {
        var storage = new MemoryStorage();
        storage.SetLengthAsync(size).AsTask().Wait();
        _disk = new RawDevice(storage);
    }

    /// <summary>Where writes began, in their order.</summary>
    public List<long> Writes { get; } = [];

    /// <summary>How many there were.</summary>
    public int Count
    {
        get
        {
            lock (Writes)
            {
                return Writes.Count;
            }
        }
    }

    /// <summary>When set, writes wait for it.</summary>
    public TaskCompletionSource? Hold { get; set; }

    public long Length => _disk.Length;

    public bool IsReadOnly => false;

    public BlockLimits Limits => _disk.Limits;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _disk.ReadAsync(offset, buffer, cancellationToken);

    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        lock (Writes)
        {
            Writes.Add(offset);
        }

        if (Hold is { } hold)
        {
            await hold.Task;
        }

        await _disk.WriteAsync(offset, data, flags, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _disk.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _disk.DiscardAsync(offset, length, cancellationToken);

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => default;

    public ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => _disk.ResizeAsync(length, preallocation, cancellationToken);

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _disk.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask DisposeAsync() => _disk.DisposeAsync();
}
