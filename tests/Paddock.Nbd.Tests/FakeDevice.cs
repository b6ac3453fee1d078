using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>A disk in memory that writes down what it was asked, and can hold requests back or refuse them.</summary>
internal sealed class FakeDevice(long size = 1 << 20) : IBlockDevice
{
    private readonly IBlockDevice _disk = Bench.Disk(size).Device;

    public List<string> Asked { get; } = [];

    /// <summary>When set, reads wait for it.</summary>
    public TaskCompletionSource? Hold { get; set; }

    /// <summary>When set, every request fails with it.</summary>
    public Exception? Failure { get; set; }

    public long Length => _disk.Length;

    public bool IsReadOnly => false;

    public BlockLimits Limits => _disk.Limits;

    public IBlockDevice? Backing { get; init; }

    /// <summary>What the block status says.</summary>
    public Func<long, long, BlockStatus>? Status { get; init; }

    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Note($"read {offset} {buffer.Length}");
        if (Hold is { } hold && offset == 0)
        {
            await hold.Task;
        }

        await _disk.ReadAsync(offset, buffer, cancellationToken);
    }

    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        Note($"write {offset} {data.Length} {flags}");
        if (Hold is { } hold)
        {
            await hold.Task;
        }

        await _disk.WriteAsync(offset, data, flags, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        Note($"zero {offset} {length} {flags}");
        return (flags & ZeroFlags.NoFallback) != 0
            ? throw new BlockException(BlockError.NotSupported, "zeroes would have to be written")
            : _disk.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Note($"discard {offset} {length}");
        return default;
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Note("flush");
        return default;
    }

    public ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "no");

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Status is null ? _disk.GetStatusAsync(offset, length, cancellationToken) : new(Status(offset, length));

    public ValueTask DisposeAsync() => default;

    private void Note(string what)
    {
        lock (Asked)
        {
            Asked.Add(what);
        }

        if (Failure is not null)
        {
            throw Failure;
        }
    }
}
