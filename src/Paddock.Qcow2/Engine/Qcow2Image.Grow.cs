using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// growing, and reserving clusters ahead
public sealed partial class Qcow2Image
{
    /// <summary>
    /// Grows the disk. Everything between the old and the new end is made to read as zeroes, durably, before the header names the new size: a crash
    /// or an error leaves the old size.
    /// </summary>
    private async ValueTask GrowAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        long old = Length;
        CheckSize(length);
        await GrowL1Async(_geometry.L1EntriesFor(length));
        if (length > old)
        {
            try
            {
                await ClearGrowthAsync(old, length, preallocation, cancellationToken);
            }
            catch
            {
                await AbandonGrowthAsync(old, length);
                throw;
            }
        }

        await SetSizeAsync(length);
        await FlushAsync(cancellationToken);
    }

    private async ValueTask ClearGrowthAsync(long old, long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        await ClearTailAsync(old, hideBacking: true, preallocation != Preallocation.Off, cancellationToken);
        long first = _geometry.ClustersFor(old) << _geometry.ClusterBits, last = _geometry.ClustersFor(length) << _geometry.ClusterBits;

        // a resize that was interrupted, or another program, may have left entries here
        await SetWholeClustersAsync(first, last, Deallocation.Remove);
        if (preallocation != Preallocation.Off)
        {
            await PreallocateAsync(first, last, preallocation);
            return;
        }

        long hidden = Backing is null ? 0 : _geometry.ClustersFor(Math.Min(length, Backing.Length)) << _geometry.ClusterBits;
        if (hidden <= first)
        {
            return;
        }

        if (_header.Version >= 3)
        {
            await SetWholeClustersAsync(first, hidden, Deallocation.ZeroUnmap);
        }
        else
        {
            await ZeroByWritingAsync(first, hidden - first, ZeroFlags.None, cancellationToken);
        }
    }

    /// <summary>Makes the rest of a partly used last cluster read as zeroes, where it does not anyway.</summary>
    /// <param name="end">The disk's end.</param>
    /// <param name="hideBacking">Whether data of the backing image behind the end matter: the disk is about to grow.</param>
    /// <param name="allocate">Whether the cluster is to be stored in any case.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    private async ValueTask ClearTailAsync(long end, bool hideBacking, bool allocate, CancellationToken cancellationToken)
    {
        if (_geometry.InCluster(end) == 0)
        {
            return;
        }

        long cluster = end >> _geometry.ClusterBits, rest = _geometry.ClusterSize - _geometry.InCluster(end);
        Mapping map;
        await _ranges.AcquireAsync(cluster, cluster, exclusive: false);
        try
        {
            map = await MapAsync(_geometry.AlignDown(end), 1);
        }
        finally
        {
            _ranges.Release(cluster, cluster, exclusive: false);
        }

        bool stored = map.Kind is ClusterKind.Normal or ClusterKind.Compressed;
        bool shows = hideBacking && map.Kind == ClusterKind.Unallocated && Backing is not null && Backing.Length > end;
        if (stored || allocate || (shows && _header.Version < 3))
        {
            // with the copy of what is before it, where the cluster is new
            await ZeroByWritingAsync(end, rest, ZeroFlags.None, cancellationToken);
        }
        else if (shows)
        {
            await ZeroInClusterAsync(end, rest, ZeroFlags.MayUnmap, cancellationToken);
        }
    }

    /// <summary>Frees what a failed growth stored behind the end; whatever cannot be freed now is freed by the next change of the size.</summary>
    private async ValueTask AbandonGrowthAsync(long old, long length)
    {
        try
        {
            await SetWholeClustersAsync(
                _geometry.ClustersFor(old) << _geometry.ClusterBits, _geometry.ClustersFor(length) << _geometry.ClusterBits, Deallocation.Remove);
            await FlushAsync();
        }
        catch (BlockException)
        {
            // the error that ended the growth is the one to report
        }
    }

    /// <summary>Reserves a cluster for every guest cluster of a range that has none, and space in the file for it.</summary>
    internal async ValueTask PreallocateAsync(long start, long end, Preallocation preallocation)
    {
        await StartWritingAsync();
        start = _geometry.AlignDown(start);
        while (start < end)
        {
            start = await PreallocatePieceAsync(start, Math.Min(end, SliceEnd(start)), preallocation);
        }
    }

    // the first clusters of a piece that are alike; gives where they end
    private async ValueTask<long> PreallocatePieceAsync(long start, long pieceEnd, Preallocation preallocation)
    {
        long first = start >> _geometry.ClusterBits;
        long last = (pieceEnd - 1) >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(first, last, exclusive: true);
        try
        {
            var map = await MapAsync(start, pieceEnd - start);
            if (map.Kind != ClusterKind.Unallocated)
            {
                return _geometry.ClustersFor(start + map.Length) << _geometry.ClusterBits;
            }

            var space = await AllocateForAsync(start, _geometry.ClustersFor(map.Length));
            long host = space.First << _geometry.ClusterBits, bytes = space.Count << _geometry.ClusterBits;
            try
            {
                // before anything refers to it: entries must not point behind the file's end
                await SpaceReservation.ReserveAsync(_storage, host, bytes, space.KnownZero, preallocation);
                await LinkAsync(start, space.Count, host);
            }
            catch
            {
                await GiveBackAsync(space.First, space.Count);
                throw;
            }

            return start + bytes;
        }
        finally
        {
            _ranges.Release(first, last, exclusive: true);
        }
    }
}
