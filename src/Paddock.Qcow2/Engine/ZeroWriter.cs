using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Write-zeroes and discard: whole clusters by their L2 entries, the rest by writing.</summary>
internal sealed class ZeroWriter(
    ImageHeader header, EngineLocks locks, WriteSession session, ClusterMap map, DataLayer data, ClusterClearing clearing,
    ClusterWriter writer, ImageFlush flush, IBlockDevice? backing)
{
    private const int ZeroBufferBytes = 64 << 10;

    private static readonly byte[] Zeroes = new byte[ZeroBufferBytes];

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Makes a range read as zeroes.</summary>
    public async ValueTask WriteZeroesAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        session.EnsureWritable();
        await session.StartAsync();
        var end = offset + length;
        var firstWhole = _geometry.AlignUp(offset);
        var lastWhole = WholeEnd(end);
        if (!header.HasVersion3 && backing is not null)
        {
            await WriteBytesAsync(offset, length, flags, cancellationToken);
        }
        else if (firstWhole >= lastWhole)
        {
            await ZeroPartsAsync(offset, length, flags, cancellationToken);
        }
        else
        {
            await ZeroPartsAsync(offset, firstWhole - offset, flags, cancellationToken);
            await clearing.ClearAsync(
                firstWhole, lastWhole, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
            await ZeroPartsAsync(lastWhole, end - lastWhole, flags, cancellationToken);
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await flush.RunAsync();
        }
    }

    /// <summary>Frees the whole clusters of a range; they read as zeroes.</summary>
    public async ValueTask DiscardAsync(GuestOffset offset, long length)
    {
        session.EnsureWritable();
        if (!header.HasVersion3 && backing is not null)
        {
            throw new BlockException(
                BlockError.NotSupported, "a version 2 image with a backing file cannot discard: it would show through");
        }

        await session.StartAsync();
        var first = _geometry.AlignUp(offset);
        var last = WholeEnd(offset + length);
        if (first < last)
        {
            await clearing.ClearAsync(first, last, Deallocation.Discard);
        }
    }

    /// <summary>Makes part of a cluster read as zeroes.</summary>
    public async ValueTask ZeroPartAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a raw data file must have the zeroes too
        if (data.IsRaw || !await TryByEntryAsync(offset, offset + length, flags))
        {
            await WriteBytesAsync(offset, length, flags, cancellationToken);
        }
    }

    /// <summary>Writes zeroes as data.</summary>
    public async ValueTask WriteBytesAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw new BlockException(BlockError.NotSupported, "part of a cluster can be zeroed only by writing");
        }

        while (length > 0)
        {
            int count = (int)Math.Min(length, ZeroBufferBytes);
            await writer.WriteAsync(offset, Zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    // a cluster that the disk's end cuts short counts as whole
    private GuestOffset WholeEnd(GuestOffset end) => end.Value == header.VirtualSize ? _geometry.AlignUp(end) : _geometry.AlignDown(end);

    private async ValueTask ZeroPartsAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a range without a whole cluster may still lie in two
        while (length > 0)
        {
            long count = Math.Min(length, _geometry.ClusterSize - _geometry.InCluster(offset));
            await ZeroPartAsync(offset, count, flags, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    /// <summary>Zeroes part of a cluster by its L2 entry: where it stores nothing, and the rest of it reads as zeroes too.</summary>
    /// <returns>False where only writing would do.</returns>
    private async ValueTask<bool> TryByEntryAsync(GuestOffset offset, GuestOffset end, ZeroFlags flags)
    {
        var start = _geometry.AlignDown(offset);
        var clusterEnd = GuestOffset.Min(new(header.VirtualSize), start + _geometry.ClusterSize);
        var held = _geometry.ClustersOf(offset, 1);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            var mapping = await map.FindAsync(start, clusterEnd - start);
            if (mapping.Kind is ClusterKind.Normal or ClusterKind.Compressed)
            {
                return false;
            }

            bool backingShows = mapping.Kind == ClusterKind.Unallocated && backing is not null;
            if (backingShows && !(await ReadsZeroAsync(backing!, start, offset) && await ReadsZeroAsync(backing!, end, clusterEnd)))
            {
                return false;
            }

            if (mapping.Kind is ClusterKind.Unallocated)
            {
                await clearing.ClearSliceAsync(
                    start, start + 1, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
            }

            return true;
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }
    }

    /// <summary>Whether a range is known, without reading it, to hold only zeroes in a device and its backing devices.</summary>
    private static async ValueTask<bool> ReadsZeroAsync(IBlockDevice device, GuestOffset start, GuestOffset end)
    {
        end = GuestOffset.Min(end, new(device.Length));
        while (start < end)
        {
            var status = await device.GetStatusAsync(start.Value, end - start);
            bool zero = (status.Flags & BlockStatusFlags.Zero) != 0
                || ((status.Flags & BlockStatusFlags.Allocated) == 0
                    && (device.Backing is null || await ReadsZeroAsync(device.Backing, start, start + status.Length)));
            if (!zero)
            {
                return false;
            }

            start += status.Length;
        }

        return true;
    }
}
