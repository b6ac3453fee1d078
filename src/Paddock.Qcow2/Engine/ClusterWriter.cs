using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Writes guest data: in place where the clusters are the image's alone, else into new clusters with the rest copied.</summary>
internal sealed class ClusterWriter(
    ClusterGeometry geometry, EngineLocks locks, WriteSession session, ClusterMap map, NewClusters clusters, Allocator allocator,
    DataLayer data, CopyOnWrite copies, SubclusterWriter subclusters, ImageFlush flush)
{
    /// <summary>Clusters waiting to be freed that make a write flush first, so that they can be used again.</summary>
    private const long MaxPendingFrees = 16384;

    /// <summary>Writes a range of the disk.</summary>
    public async ValueTask WriteAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, WriteFlags flags, CancellationToken cancellationToken)
    {
        session.EnsureWritable();
        if (!session.IsOpen)
        {
            await session.StartAsync();
        }

        if (bytes.Length > 0)
        {
            try
            {
                int done = await WriteInPlaceAsync(offset, bytes, cancellationToken);
                if (done < bytes.Length)
                {
                    await WriteAllocatingAsync(offset + done, bytes[done..], cancellationToken);
                }
            }
            finally
            {
                // a part of a write that fails may have been written
                session.Record(offset, bytes.Length);
            }
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await flush.RunAsync();
        }
    }

    /// <summary>Writes as far as the clusters can be overwritten.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteInPlaceAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var held = geometry.ClustersOf(offset, bytes.Length);
        await locks.AcquireAsync(held, exclusive: false);
        try
        {
            int done = 0;
            while (done < bytes.Length)
            {
                var mapping = await map.FindAsync(offset + done, bytes.Length - done, writes: true);
                if (!mapping.Writable)
                {
                    break;
                }

                await data.WriteAsync(mapping.Host, offset + done, bytes.Slice(done, (int)mapping.Length), cancellationToken);
                done += (int)mapping.Length;
            }

            return done;
        }
        finally
        {
            locks.Release(held, exclusive: false);
        }
    }

    private async ValueTask WriteAllocatingAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (allocator.PendingFreeClusters > MaxPendingFrees)
        {
            await flush.RunAsync();
        }

        var held = geometry.ClustersOf(offset, bytes.Length);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            while (bytes.Length > 0)
            {
                var mapping = await map.FindAsync(offset, bytes.Length, writes: true);
                int count = (int)mapping.Length;
                if (mapping.Writable)
                {
                    await data.WriteAsync(mapping.Host, offset, bytes[..count], cancellationToken);
                }
                else
                {
                    // one L2 slice at a time: a table's end is a slice's end
                    count = (int)Math.Min(count, map.SliceEnd(offset) - offset);
                    count = geometry.HasSubclusters
                        ? await subclusters.WriteAsync(mapping, offset, bytes[..count], cancellationToken)
                        : await WriteNewClustersAsync(mapping, offset, bytes[..count], cancellationToken);
                }

                offset += count;
                bytes = bytes[count..];
            }
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }
    }

    /// <returns>Bytes written: all, or what fits the clusters that could be had side by side.</returns>
    private async ValueTask<int> WriteNewClustersAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var start = geometry.AlignDown(offset);
        long count = geometry.ClustersFor(offset + bytes.Length - start);
        bool reuse = mapping.Kind == ClusterKind.ZeroAllocated && mapping.HasOwnCluster;
        var run = reuse
            ? new ClusterRun(geometry.ClusterOf(mapping.Entry.Offset), count, KnownZero: false)
            : await clusters.AllocateAsync(start, count);
        if (run.Count < count)
        {
            bytes = bytes[..(int)(start + geometry.BytesIn(run.Count) - offset)];
        }

        try
        {
            var host = geometry.OffsetOf(run.First) + geometry.InCluster(offset);
            await copies.WriteAsync(mapping, offset, bytes, geometry.ClusterSize, host, run.KnownZero, cancellationToken);
            await clusters.MapAsync(start, run);
            return bytes.Length;
        }
        catch when (!reuse)
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }
}
