using Paddock.Block;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>A disk in memory that writes down what it was asked, and can hold requests back or refuse them.</summary>
internal sealed class FakeDevice(long size = 1 << 20) : DelegatingDevice(Bench.Disk(size).Device)
{
    public List<string> Asked { get; } = [];

    /// <summary>When set, reads wait for it.</summary>
    public TaskCompletionSource? Hold { get; set; }

    /// <summary>When set, every request fails with it.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The backing image.</summary>
    public IBlockDevice? Below { get; init; }

    public override IBlockDevice? Backing => Below;

    /// <summary>What the block status says.</summary>
    public Func<long, long, BlockStatus>? Status { get; init; }

    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Note($"read {offset} {buffer.Length}");
        if (Hold is { } hold && offset == 0)
        {
            await hold.Task;
        }

        await Inner.ReadAsync(offset, buffer, cancellationToken);
    }

    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        Note($"write {offset} {data.Length} {flags}");
        if (Hold is { } hold)
        {
            await hold.Task;
        }

        await Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        Note($"zero {offset} {length} {flags}");
        return (flags & ZeroFlags.NoFallback) != 0
            ? throw new BlockException(BlockError.NotSupported, "zeroes would have to be written")
            : Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Note($"discard {offset} {length}");
        return default;
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Note("flush");
        return default;
    }

    public override ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "no");

    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Status is null ? Inner.GetStatusAsync(offset, length, cancellationToken) : new(Status(offset, length));

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
