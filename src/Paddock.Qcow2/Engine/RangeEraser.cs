using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Makes guest ranges that cannot be read (above write pointers) hold zeroes, without taking space where that is possible.
/// </summary>
internal sealed class RangeEraser(
    ImageHeader header, EngineLocks locks, WriteSession session, ClusterMap map, DataLayer data, ZeroWriter zeroes,
    UnreadableRanges unreadable, IBlockDevice? backing)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Erases a range. Whole clusters are unmapped.</summary>
    public async ValueTask EraseAsync(GuestOffset start, GuestOffset end)
    {
        // a part that reads as zeroes already is not written
        unreadable.Written(start, end - start);
        var firstWhole = GuestOffset.Min(end, _geometry.AlignUp(start));
        var lastWhole = end.Value == header.VirtualSize ? end : GuestOffset.Max(firstWhole, _geometry.AlignDown(end));
        await ErasePartAsync(start, firstWhole);
        await zeroes.DiscardAsync(firstWhole, lastWhole - firstWhole);
        await ErasePartAsync(lastWhole, end);
    }

    /// <summary>
    /// Erases a range that will be written again. In a thin storage, clusters stay mapped: those writes then change no table.
    /// </summary>
    public ValueTask EmptyAsync(GuestOffset start, GuestOffset end)
        => ThinStorage.Is(data.Storage) && !data.IsEncrypted && !_geometry.HasSubclusters ? ZeroAsync(start, end) : EraseAsync(start, end);

    private async ValueTask ZeroAsync(GuestOffset start, GuestOffset end)
    {
        unreadable.Written(start, end - start);
        session.EnsureWritable();
        await session.StartAsync();
        while (start < end)
        {
            var (length, isZero) = await ZeroRunAsync(start, end - start);
            if (!isZero)
            {
                await EraseAsync(start, start + length);
            }

            start += length;
        }
    }

    private async ValueTask<(long Length, bool IsZero)> ZeroRunAsync(GuestOffset start, long length)
    {
        var held = _geometry.ClustersOf(start, length);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            var mapping = await map.FindAsync(start, length);
            bool isOwn = mapping.Kind == ClusterKind.Normal && mapping.Writable;
            if (isOwn)
            {
                await data.ZeroAsync(mapping.Host, mapping.Length, ZeroFlags.MayUnmap);
                session.Record(start, mapping.Length);
            }

            return (mapping.Length, isOwn || IsZero(mapping));
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }
    }

    private bool IsZero(Mapping mapping) => mapping.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
        || (mapping.Kind == ClusterKind.Unallocated && backing is null);

    private async ValueTask ErasePartAsync(GuestOffset start, GuestOffset end)
    {
        if (start >= end)
        {
            return;
        }

        session.EnsureWritable();
        await session.StartAsync();
        while (start < end)
        {
            start += await EraseRunAsync(start, end - start);
        }
    }

    /// <summary>Erases the first equally stored bytes of a part of a cluster.</summary>
    /// <returns>How many they are.</returns>
    private async ValueTask<long> EraseRunAsync(GuestOffset start, long length)
    {
        Mapping mapping;
        bool erased = false;
        var held = _geometry.ClustersOf(start, 1);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            mapping = await map.FindAsync(start, length);
            if (mapping.Kind == ClusterKind.Normal && mapping.Writable && !data.IsEncrypted)
            {
                // in place, by a hole where the storage can make one: writing zeroes into a hole would take space
                await data.ZeroAsync(mapping.Host, mapping.Length, ZeroFlags.MayUnmap);
                session.Record(start, mapping.Length);
                erased = true;
            }
            else
            {
                erased = IsZero(mapping);
            }
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }

        if (!erased)
        {
            await zeroes.WriteZeroesAsync(start, mapping.Length, ZeroFlags.MayUnmap, CancellationToken.None);
        }

        return mapping.Length;
    }
}
