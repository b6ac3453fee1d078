using Paddock.Block;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Nbd;

/// <summary>A disk as qemu-nbd's options show it: from an offset on, with or without discards, with zero writes found.</summary>
/// <param name="device">The disk; not owned.</param>
/// <param name="offset">Bytes that are hidden at its front.</param>
/// <param name="unmap">Whether discards are passed on.</param>
/// <param name="zeroes">What becomes of writes that are all zeroes.</param>
/// <param name="dataEnd">
/// Where the stored bytes end, if that is inside the last sector: the rest reads as zeroes and is reported as such.
/// </param>
/// <param name="alignment">Requests are multiples of it, if the disk does not want more.</param>
internal sealed class ExportDevice(
    IBlockDevice device, long offset, bool unmap, ZeroDetection zeroes, long dataEnd = long.MaxValue, int alignment = 1)
    : DelegatingDevice(device, owns: false)
{
    private long _dataEnd = dataEnd;

    public override IRangeCopy? RangeCopy => null;

    public override IUnreadableRanges? UnreadableRanges => null;

    public override long Length => Math.Max(0, Inner.Length - offset);

    public override BlockLimits Limits => Inner.Limits with { RequestAlignment = Math.Max(alignment, Inner.Limits.RequestAlignment) };

    // with an offset, its own status cannot be asked for at the same place: the chain is walked here
    public override IBlockDevice? Backing
        => Inner.Backing is { } backing ? offset == 0 ? backing : new ExportDevice(backing, offset, unmap, zeroes) : null;

    // NBD knows no zones
    public override IZones? Zones => null;

    public override ValueTask ReadAsync(long at, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Inner.ReadAsync(offset + at, buffer, cancellationToken);

    public override ValueTask WriteAsync(
        long at, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (zeroes != ZeroDetection.Off && !data.Span.ContainsAnyExcept((byte)0))
        {
            var how = ((flags & WriteFlags.Fua) != 0 ? ZeroFlags.Fua : 0)
                | (zeroes == ZeroDetection.Unmap && unmap ? ZeroFlags.MayUnmap : 0);
            return Inner.WriteZeroesAsync(offset + at, data.Length, how, cancellationToken);
        }

        return Inner.WriteAsync(offset + at, data, flags, cancellationToken);
    }

    public override ValueTask WriteZeroesAsync(
        long at, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(offset + at, length, unmap ? flags : flags & ~ZeroFlags.MayUnmap, cancellationToken);

    public override ValueTask DiscardAsync(long at, long length, CancellationToken cancellationToken = default)
        => unmap ? Inner.DiscardAsync(offset + at, length, cancellationToken) : ValueTask.CompletedTask;

    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length > long.MaxValue - offset)
        {
            throw new BlockException(BlockError.TooLarge, $"a size of {length} bytes behind an offset of {offset}");
        }

        await Inner.ResizeAsync(offset + length, preallocation, cancellationToken);

        // whole sectors from now on
        Volatile.Write(ref _dataEnd, long.MaxValue);
    }

    public override ValueTask<BlockStatus> GetStatusAsync(long at, long length, CancellationToken cancellationToken = default)
    {
        long from = offset + at;
        long end = Volatile.Read(ref _dataEnd);
        if (from >= end)
        {
            return new(new BlockStatus(length, BlockStatusFlags.Zero | BlockStatusFlags.Allocated));
        }

        return Inner.GetStatusAsync(from, Math.Min(length, end - from), cancellationToken);
    }
}
