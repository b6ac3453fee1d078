using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// for zones: space for data that a buffer in memory has accepted, and zeroes that need no space
public sealed partial class Qcow2Image
{
    private readonly Engine.MetadataReservation _reservation;
    private readonly Engine.InPlaceWrites _inPlace;

    /// <summary>Takes the space of metadata that are to be changed later. Under the metadata mutex.</summary>
    internal Engine.MetadataReservation Reservation => _reservation;

    /// <summary>Changes metadata in place, durably. Under the metadata mutex.</summary>
    internal Engine.InPlaceWrites InPlace => _inPlace;

    /// <summary>
    /// Takes the space of a guest range that holds nothing that can be read, so that a later write there needs none: host clusters, their
    /// tables, and the file's blocks.
    /// </summary>
    /// <returns>False where writing must find the space: over a backing file, a snapshot or compressed clusters.</returns>
    internal async ValueTask<bool> ReserveDataAsync(long offset, long length)
    {
        EnsureWritable();
        await StartWritingAsync();
        long first = offset >> _geometry.ClusterBits;
        long last = (offset + length - 1) >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(first, last, exclusive: true);
        try
        {
            for (long end = offset + length; offset < end;)
            {
                var map = await MapAsync(offset, Math.Min(end, SliceEnd(offset)) - offset);
                long reserved = map.Kind switch
                {
                    ClusterKind.Normal when map.Writable => await ReserveHostAsync(map.Host, map.Length),
                    ClusterKind.ZeroAllocated when map.Entry.IsCopied => await ReserveWholeAsync(map, offset),
                    ClusterKind.Unallocated or ClusterKind.ZeroPlain when Backing is null => await AllocateAheadAsync(offset, map.Length),
                    _ => 0,
                };
                if (reserved == 0)
                {
                    return false;
                }

                offset += reserved;
            }

            return true;
        }
        finally
        {
            _ranges.Release(first, last, exclusive: true);
        }
    }

    /// <summary>
    /// Makes a guest range that nobody can read hold zeroes, without taking space where that is possible. Whole clusters are unmapped.
    /// </summary>
    internal async ValueTask EraseAsync(long start, long end)
    {
        long firstWhole = Math.Min(end, _geometry.ClustersFor(start) << _geometry.ClusterBits);
        long lastWhole = end == Length ? end : Math.Max(firstWhole, _geometry.AlignDown(end));
        await ErasePartAsync(start, firstWhole);
        await DiscardAsync(firstWhole, lastWhole - firstWhole);
        await ErasePartAsync(lastWhole, end);
    }

    private async ValueTask ErasePartAsync(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        EnsureWritable();
        await StartWritingAsync();
        long cluster = start >> _geometry.ClusterBits;
        bool erased = false;
        await _ranges.AcquireAsync(cluster, cluster, exclusive: true);
        try
        {
            var map = await MapAsync(start, end - start);
            if (map.Kind == ClusterKind.Normal && map.Writable)
            {
                // in place, by a hole where the storage can make one: writing zeroes into a hole would take space
                await CheckOverlapAsync(map.Host, map.Length);
                await _storage.WriteZeroesAsync(map.Host, map.Length, ZeroFlags.MayUnmap);
                erased = true;
            }
            else
            {
                erased = map.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated || (map.Kind == ClusterKind.Unallocated && Backing is null);
            }
        }
        finally
        {
            _ranges.Release(cluster, cluster, exclusive: true);
        }

        if (!erased)
        {
            await WriteZeroesAsync(start, end - start, ZeroFlags.MayUnmap);
        }
    }

    private async ValueTask<long> ReserveWholeAsync(Engine.Mapping map, long offset)
    {
        // its entry changes when it is written
        await _meta.AcquireAsync();
        try
        {
            await EnsureL2TableAsync(offset);
        }
        finally
        {
            _meta.Release();
        }

        // what a write does not cover of such a cluster is zeroed then
        int head = _geometry.InCluster(offset);
        await ReserveHostAsync(map.Host - head, _geometry.ClustersFor(head + map.Length) << _geometry.ClusterBits);
        return map.Length;
    }

    private async ValueTask<long> ReserveHostAsync(long host, long length)
    {
        await CheckOverlapAsync(host, length);
        if (!await _storage.ReserveAsync(host, length, grows: true))
        {
            await _storage.WriteZeroesAsync(host, length, ZeroFlags.None);
        }

        return length;
    }

    /// <returns>Bytes that now have their space.</returns>
    private async ValueTask<long> AllocateAheadAsync(long offset, long length)
    {
        long start = _geometry.AlignDown(offset);
        var space = await AllocateForAsync(start, _geometry.ClustersFor(offset + length - start));
        long host = space.First << _geometry.ClusterBits, bytes = space.Count << _geometry.ClusterBits;
        length = Math.Min(length, start + bytes - offset);
        try
        {
            if (space.KnownZero)
            {
                await ReserveHostAsync(host + offset - start, length);
            }
            else
            {
                // old data must not show: the clusters count as zero until they are written
                await ReserveHostAsync(host, bytes);
            }

            await LinkAsync(start, space.Count, host, space.KnownZero ? 0 : L2Entry.ZeroFlag);
            return length;
        }
        catch
        {
            await GiveBackAsync(space.First, space.Count);
            throw;
        }
    }
}
