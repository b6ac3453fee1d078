using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Takes the space of data before they are there: for zones, whose buffers accept data that must reach the image however full the
/// file system is by then; and for preallocated images.
/// </summary>
internal sealed class SpaceAhead(
    ClusterGeometry geometry, EngineLocks locks, WriteSession session, ClusterMap map, NewClusters clusters,
    DataLayer data, IBlockDevice? backing, bool hasZeroFlag)
{
    private static readonly byte[] Zeroes = new byte[1 << 20];

    /// <summary>
    /// Takes the space of a guest range that holds nothing that can be read, so that a later write there needs none: host clusters, their
    /// tables, and the file's blocks.
    /// </summary>
    /// <returns>
    /// False where writing must find the space: over a snapshot or compressed clusters; without extended L2 entries, also over a backing
    /// file.
    /// </returns>
    public async ValueTask<bool> TryReserveAsync(GuestOffset offset, long length)
    {
        session.EnsureWritable();
        await session.StartAsync();
        var held = geometry.ClustersOf(offset, length);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            for (var end = offset + length; offset < end;)
            {
                var mapping = await map.FindAsync(offset, GuestOffset.Min(end, map.SliceEnd(offset)) - offset);
                long reserved = mapping.Kind switch
                {
                    ClusterKind.Normal when mapping.Writable => await ReserveAsync(mapping.Host, mapping.Length),
                    ClusterKind.Unallocated or ClusterKind.ZeroAllocated when mapping.HasOwnCluster
                        => await ReserveWholeAsync(mapping, offset),
                    ClusterKind.Unallocated or ClusterKind.ZeroPlain
                        when !mapping.HasCluster && (backing is null || geometry.HasSubclusters)
                        => await AllocateAsync(offset, mapping.Length),
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
            locks.Release(held, exclusive: true);
        }
    }

    /// <summary>Allocates a cluster for every guest cluster of a range that has none, and takes space in the file for it.</summary>
    public async ValueTask PreallocateAsync(GuestOffset start, GuestOffset end, Preallocation preallocation)
    {
        await session.StartAsync();
        start = geometry.AlignDown(start);
        while (start < end)
        {
            start = await PreallocatePieceAsync(start, end, preallocation);
        }
    }

    // the first clusters of a piece that are alike; gives where they end
    private async ValueTask<GuestOffset> PreallocatePieceAsync(GuestOffset start, GuestOffset end, Preallocation preallocation)
    {
        var pieceEnd = GuestOffset.Min(end, map.SliceEnd(start));
        var held = geometry.ClustersOf(start, pieceEnd - start);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            var mapping = await map.FindAsync(start, pieceEnd - start);
            if (mapping.Kind != ClusterKind.Unallocated || mapping.HasCluster)
            {
                return geometry.AlignUp(start + mapping.Length);
            }

            var run = await clusters.AllocateAsync(start, geometry.ClustersFor(mapping.Length));
            long bytes = geometry.BytesIn(run.Count);
            try
            {
                // before anything refers to it: entries must not point after the file's end
                await data.PreallocateAsync(geometry.OffsetOf(run.First), bytes, end, run.KnownZero, preallocation);
                await MapPreallocatedAsync(start, run);
            }
            catch
            {
                await clusters.FreeAsync(run);
                throw;
            }

            return start + bytes;
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }
    }

    // what a raw data file holds is on the disk: its subclusters count as stored, unless it would have to decrypt to zeroes
    private async ValueTask MapPreallocatedAsync(GuestOffset start, ClusterRun run)
    {
        if (geometry.HasSubclusters)
        {
            await (data is { IsRaw: true, IsEncrypted: false }
                ? clusters.MapSubclustersAsync(start, geometry.BytesIn(run.Count), geometry.OffsetOf(run.First))
                : clusters.ReserveSubclustersAsync(start, run));
            return;
        }

        // zeroes in the file do not decrypt to zeroes
        bool flags = data.IsEncrypted && hasZeroFlag;
        if (data.IsEncrypted && !flags)
        {
            await WriteZeroesAsync(geometry.OffsetOf(run.First), start, geometry.BytesIn(run.Count));
        }

        await clusters.MapAsync(start, run, flags ? L2Entry.ZeroFlag : 0);
    }

    private async ValueTask WriteZeroesAsync(HostOffset host, GuestOffset guest, long length)
    {
        for (long at = 0; at < length; at += Zeroes.Length)
        {
            await data.WriteAsync(host + at, guest + at, Zeroes.AsMemory(0, (int)Math.Min(Zeroes.Length, length - at)), default);
        }
    }

    private async ValueTask<long> ReserveWholeAsync(Mapping mapping, GuestOffset offset)
    {
        // its entry changes when it is written
        await clusters.EnsureTableAsync(offset);

        // what a write does not cover of such a cluster, or subcluster, is written then too
        var start = geometry.SubclusterDown(offset);
        await ReserveAsync(mapping.Host + (start - offset), geometry.SubclusterUp(offset + mapping.Length) - start);
        return mapping.Length;
    }

    private async ValueTask<long> ReserveAsync(HostOffset host, long length)
    {
        await data.ReserveAsync(host, length);
        return length;
    }

    /// <returns>Bytes that now have their space.</returns>
    private async ValueTask<long> AllocateAsync(GuestOffset offset, long length)
    {
        var start = geometry.AlignDown(offset);
        var run = await clusters.AllocateAsync(start, geometry.ClustersFor(offset + length - start));
        var host = geometry.OffsetOf(run.First);
        long bytes = geometry.BytesIn(run.Count);
        length = Math.Min(length, start + bytes - offset);
        try
        {
            if (geometry.HasSubclusters)
            {
                // nothing is stored yet, so old data do not show
                var first = geometry.SubclusterDown(offset);
                await data.ReserveAsync(host + (first - start), geometry.SubclusterUp(offset + length) - first);
                await clusters.ReserveSubclustersAsync(start, run);
                return length;
            }

            if (run.KnownZero)
            {
                await data.ReserveAsync(host + (offset - start), length);
            }
            else
            {
                // old data must not show: the clusters count as zero until they are written
                await data.ReserveAsync(host, bytes);
            }

            await clusters.MapAsync(start, run, run.KnownZero ? 0 : L2Entry.ZeroFlag);
            return length;
        }
        catch
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }
}
