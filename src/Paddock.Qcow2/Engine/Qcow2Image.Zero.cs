using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// write-zeroes and discard: whole clusters by their L2 entries, the rest by writing
public sealed partial class Qcow2Image
{
    private const int ZeroBufferBytes = 64 << 10;

    private static readonly byte[] Zeroes = new byte[ZeroBufferBytes];

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        await StartWritingAsync();
        long end = offset + length;
        long firstWhole = _geometry.ClustersFor(offset) << _geometry.ClusterBits;
        long lastWhole = end == Length ? _geometry.ClustersFor(end) << _geometry.ClusterBits : _geometry.AlignDown(end);
        if (_header.Version < 3 && Backing is not null)
        {
            await ZeroByWritingAsync(offset, length, flags, cancellationToken);
        }
        else if (firstWhole >= lastWhole)
        {
            await ZeroPartAsync(offset, length, flags, cancellationToken);
        }
        else
        {
            await ZeroPartAsync(offset, firstWhole - offset, flags, cancellationToken);
            await SetWholeClustersAsync(firstWhole, lastWhole, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
            await ZeroPartAsync(lastWhole, end - lastWhole, flags, cancellationToken);
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        if (_header.Version < 3 && Backing is not null)
        {
            throw new BlockException(BlockError.NotSupported, "a version 2 image with a backing file cannot discard: it would show through");
        }

        await StartWritingAsync();
        long end = offset + length;
        long first = _geometry.ClustersFor(offset) << _geometry.ClusterBits;
        long last = end == Length ? _geometry.ClustersFor(end) << _geometry.ClusterBits : _geometry.AlignDown(end);
        if (first < last)
        {
            await SetWholeClustersAsync(first, last, Deallocation.Discard);
        }
    }

    private enum Deallocation
    {
        /// <summary>Reads as zeroes; clusters stay reserved.</summary>
        ZeroKeep,

        /// <summary>Reads as zeroes; clusters are given back.</summary>
        ZeroUnmap,

        /// <summary>As <see cref="ZeroUnmap"/>, but what is not allocated stays so when nothing lies behind it.</summary>
        Discard,

        /// <summary>The entry goes: the disk ends before it.</summary>
        Remove,
    }

    private async ValueTask ZeroPartAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a range without a whole cluster may still lie in two
        while (length > 0)
        {
            long count = Math.Min(length, _geometry.ClusterSize - _geometry.InCluster(offset));
            await ZeroInClusterAsync(offset, count, flags, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    private async ValueTask ZeroInClusterAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (!await ZeroWithNeighboursAsync(offset, offset + length, flags))
        {
            await ZeroByWritingAsync(offset, length, flags, cancellationToken);
        }
    }

    /// <summary>Zeroes part of a cluster by its L2 entry: where it stores nothing, and the rest of it reads as zeroes too.</summary>
    /// <returns>False where only writing would do.</returns>
    private async ValueTask<bool> ZeroWithNeighboursAsync(long offset, long end, ZeroFlags flags)
    {
        long cluster = offset >> _geometry.ClusterBits;
        long start = _geometry.AlignDown(offset);
        long clusterEnd = Math.Min(Length, start + _geometry.ClusterSize);
        await _ranges.AcquireAsync(cluster, cluster, exclusive: true);
        try
        {
            var map = await MapAsync(start, clusterEnd - start);
            if (map.Kind is ClusterKind.Normal or ClusterKind.Compressed)
            {
                return false;
            }

            bool behindShows = map.Kind == ClusterKind.Unallocated && Backing is not null;
            if (behindShows && !(await ReadsZeroAsync(Backing!, start, offset) && await ReadsZeroAsync(Backing!, end, clusterEnd)))
            {
                return false;
            }

            if (map.Kind is ClusterKind.Unallocated)
            {
                await SetInOneTableAsync(start, start + 1, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
            }

            return true;
        }
        finally
        {
            _ranges.Release(cluster, cluster, exclusive: true);
        }
    }

    /// <summary>Whether a range is known, without reading it, to hold zeroes alone in a device and what lies behind it.</summary>
    private static async ValueTask<bool> ReadsZeroAsync(IBlockDevice device, long start, long end)
    {
        end = Math.Min(end, device.Length);
        while (start < end)
        {
            var status = await device.GetStatusAsync(start, end - start);
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

    private async ValueTask ZeroByWritingAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw new BlockException(BlockError.NotSupported, "part of a cluster can be zeroed only by writing");
        }

        while (length > 0)
        {
            int count = (int)Math.Min(length, ZeroBufferBytes);
            await WriteAsync(offset, Zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    /// <summary>Changes the entries of whole clusters, a table at a time.</summary>
    private async ValueTask SetWholeClustersAsync(long start, long end, Deallocation how)
    {
        while (start < end)
        {
            long tableEnd = Math.Min(end, SliceEnd(start));
            bool leavesNoTrace = how == Deallocation.Remove || (Backing is null && (how == Deallocation.Discard || _header.Version < 3));
            if (leavesNoTrace && L2TableOf(start) == 0)
            {
                // nothing there, nothing behind it: on to the next table
                start = Math.Min(end, ((start >> _geometry.L1Shift) + 1) << _geometry.L1Shift);
                continue;
            }

            long first = start >> _geometry.ClusterBits;
            long last = (tableEnd - 1) >> _geometry.ClusterBits;
            await _ranges.AcquireAsync(first, last, exclusive: true);
            try
            {
                await SetInOneTableAsync(start, tableEnd, how);
                start = tableEnd;
            }
            finally
            {
                _ranges.Release(first, last, exclusive: true);
            }
        }
    }

    /// <summary>Changes the entries of clusters of one table slice, whose guest range the caller holds.</summary>
    private async ValueTask SetInOneTableAsync(long start, long end, Deallocation how)
    {
        await _meta.AcquireAsync();
        try
        {
            bool onlyClears = how == Deallocation.Remove || (how == Deallocation.Discard && Backing is null);
            long table = await EnsureL2TableAsync(start, reserve: !onlyClears);
            for (; start < end; start += _geometry.ClusterSize)
            {
                await SetOneAsync(table, start, how);
            }
        }
        finally
        {
            _meta.Release();
        }
    }

    private async ValueTask SetOneAsync(long table, long offset, Deallocation how)
    {
        var (slice, index) = SliceOf(table, offset);
        var old = new L2Entry(ReadEntry(await _l2.GetAsync(slice, _makeRoom), index));
        bool keeps = how == Deallocation.ZeroKeep && !old.IsCompressed && old.Offset.Value != 0 && old.IsCopied && _header.Version >= 3;
        L2Entry entry;
        if (keeps)
        {
            entry = new L2Entry(old.Raw | L2Entry.ZeroFlag);
        }
        else if (how == Deallocation.Remove || _header.Version < 3 || (old.Kind == ClusterKind.Unallocated && Backing is null && how == Deallocation.Discard))
        {
            entry = L2Entry.Unallocated;
        }
        else
        {
            entry = L2Entry.Zero;
        }

        if (entry != old)
        {
            _l2.Set64(slice, index, entry.Raw);
            if (!keeps)
            {
                Release(old);
            }
        }
    }
}
