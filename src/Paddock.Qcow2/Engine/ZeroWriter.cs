using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Write-zeroes and discard: whole clusters and subclusters by their L2 entries, the rest by writing.</summary>
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
        session.EnsureWritable(offset, length);
        await session.StartChangeAsync();
        try
        {
            await ZeroRangeAsync(offset, length, flags, cancellationToken);
            session.MakeReadable(offset, length);
        }
        finally
        {
            session.Record(offset, length);
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await flush.RunAsync();
        }
    }

    /// <summary>Frees the whole clusters of a range; they read as zeroes.</summary>
    public async ValueTask DiscardAsync(GuestOffset offset, long length)
    {
        session.EnsureWritable(offset, length);
        if (!header.HasVersion3 && backing is not null)
        {
            throw new BlockException(
                BlockError.NotSupported, "a version 2 image with a backing file cannot discard: it would show through");
        }

        await session.StartChangeAsync();
        var first = _geometry.AlignUp(offset);
        var end = offset + length;

        // a cluster that the disk's end cuts short counts as whole
        var last = end.Value == header.VirtualSize ? _geometry.AlignUp(end) : _geometry.AlignDown(end);
        try
        {
            if (first < last)
            {
                await clearing.ClearAsync(first, last, Deallocation.Discard);
                session.MakeReadable(first, last - first);
            }
        }
        finally
        {
            // as in QEMU the whole request, whatever it came to
            session.Record(offset, length);
        }
    }

    /// <summary>Makes part of a cluster, or of a subcluster, read as zeroes.</summary>
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

    /// <summary>Zeroes whole subclusters of one cluster, which may lie after the disk's end.</summary>
    /// <param name="start">Start of a subcluster.</param>
    /// <param name="end">End of a subcluster; nothing is done if it is not after the start.</param>
    /// <param name="flags">What may become of the space.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async ValueTask ZeroSubclustersAsync(GuestOffset start, GuestOffset end, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (start < end && !await clearing.TryZeroSubclustersAsync(start, end))
        {
            await WriteBytesAsync(start, end - start, flags, cancellationToken);
        }
    }

    private async ValueTask ZeroRangeAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        var end = offset + length;
        var firstWhole = _geometry.SubclusterUp(offset);
        var lastWhole = end.Value == header.VirtualSize ? _geometry.SubclusterUp(end) : _geometry.SubclusterDown(end);
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
            // as in QEMU, whose requests end where the disk's last subcluster begins: what is zero after the end depends on that
            var split = GuestOffset.Min(lastWhole, _geometry.SubclusterDown(end));
            await ZeroWholeAsync(firstWhole, split, flags, cancellationToken);
            await ZeroWholeAsync(split, lastWhole, flags, cancellationToken);
            await ZeroPartsAsync(lastWhole, end - lastWhole, flags, cancellationToken);
        }
    }

    /// <summary>
    /// Zeroes whole subclusters: those of a cluster that is covered in part by their bits, whole clusters by their entries. As in QEMU,
    /// all is written if a compressed cluster is covered in part.
    /// </summary>
    /// <param name="start">Start of a subcluster.</param>
    /// <param name="end">End of a subcluster.</param>
    /// <param name="flags">What may become of the space.</param>
    /// <param name="cancellationToken">Stops it.</param>
    private async ValueTask ZeroWholeAsync(GuestOffset start, GuestOffset end, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a cluster that the disk's end cuts short counts as whole
        var firstCluster = GuestOffset.Min(_geometry.AlignUp(start), end);
        var lastCluster = end.Value >= header.VirtualSize ? _geometry.AlignUp(end) : _geometry.AlignDown(end);
        bool done = start >= firstCluster || await clearing.TryZeroSubclustersAsync(start, firstCluster);
        if (done && firstCluster < lastCluster && firstCluster < end)
        {
            await clearing.ClearAsync(
                firstCluster, lastCluster, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
        }

        var tail = GuestOffset.Max(firstCluster, lastCluster);
        done = done && (tail >= end || await clearing.TryZeroSubclustersAsync(tail, end));
        if (!done)
        {
            await WriteBytesAsync(start, GuestOffset.Min(end, new(header.VirtualSize)) - start, flags, cancellationToken);
        }
    }

    private async ValueTask ZeroPartsAsync(GuestOffset offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a range without a whole subcluster may still lie in two
        while (length > 0)
        {
            long count = Math.Min(length, _geometry.SubclusterDown(offset) + _geometry.SubclusterSize - offset);
            await ZeroPartAsync(offset, count, flags, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    /// <summary>Zeroes part of a subcluster by its L2 entry: where it stores nothing, and the rest of it reads as zeroes too.</summary>
    /// <returns>False where only writing would do.</returns>
    private async ValueTask<bool> TryByEntryAsync(GuestOffset offset, GuestOffset end, ZeroFlags flags)
    {
        var start = _geometry.SubclusterDown(offset);
        var unitEnd = GuestOffset.Min(new(header.VirtualSize), start + _geometry.SubclusterSize);
        var held = _geometry.ClustersOf(offset, 1);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            var mapping = await map.FindAsync(start, unitEnd - start);
            if (mapping.Kind is ClusterKind.Normal or ClusterKind.Compressed)
            {
                return false;
            }

            bool backingShows = mapping.Kind == ClusterKind.Unallocated && backing is not null;
            if (backingShows && !(await ReadsZeroAsync(backing!, start, offset) && await ReadsZeroAsync(backing!, end, unitEnd)))
            {
                return false;
            }

            if (mapping.Kind is ClusterKind.Unallocated && _geometry.HasSubclusters)
            {
                await clearing.TryZeroHeldAsync(start, start + _geometry.SubclusterSize);
            }
            else if (mapping.Kind is ClusterKind.Unallocated)
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
