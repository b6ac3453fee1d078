using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Writes guest data: in place where the clusters are the image's alone, else into new clusters with the rest copied.</summary>
internal sealed class ClusterWriter(
    ClusterGeometry geometry, EngineLocks locks, WriteSession session, ClusterMap map, NewClusters clusters, Allocator allocator,
    DataLayer data, CopyOnWrite copies, SubclusterWriter subclusters, ImageFlush flush)
{
    /// <summary>
    /// Clusters, or bytes, waiting to be freed that make a write flush first, so that they are used again: the file would grow instead.
    /// </summary>
    private const long MaxPendingFrees = 16384, MaxPendingBytes = 16 << 20;

    /// <summary>Writes a range of the disk.</summary>
    public ValueTask WriteAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, WriteFlags flags, CancellationToken cancellationToken)
    {
        session.EnsureWritable(offset, bytes.Length);
        if (!session.IsReady || flags != WriteFlags.None || bytes.Length == 0)
        {
            return WriteAnyAsync(offset, bytes, flags, cancellationToken);
        }

        var held = geometry.ClustersOf(offset, bytes.Length);
        var acquiring = locks.AcquireAsync(held, exclusive: false);
        return acquiring.IsCompletedSuccessfully ? WriteHeldAsync(held, offset, bytes, cancellationToken)
            : WriteAfterAsync(acquiring, held, offset, bytes, cancellationToken);
    }

    /// <summary>
    /// Writes to clusters that are held shared, and releases them. Most writes are one run of clusters of this image, whose table is in
    /// memory, and need no state machine.
    /// </summary>
    private ValueTask WriteHeldAsync(
        GuestClusters held, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        bool isInPlace = false;
        ValueTask writing = default;
        try
        {
            isInPlace = map.TryFind(offset, bytes.Length, out var mapping) && mapping.Writable && mapping.Length == bytes.Length;
            if (isInPlace)
            {
                writing = data.WriteAsync(mapping.Host, offset, bytes, cancellationToken);
            }
        }
        catch (Exception e)
        {
            writing = ValueTask.FromException(e);
        }

        if (!writing.IsCompletedSuccessfully)
        {
            return EndInPlaceAsync(writing, held, offset, bytes.Length);
        }

        locks.Release(held, exclusive: false);
        if (!isInPlace)
        {
            return WriteAnyAsync(offset, bytes, WriteFlags.None, cancellationToken);
        }

        session.MakeReadable(offset, bytes.Length);
        session.Record(offset, bytes.Length);
        return ValueTask.CompletedTask;
    }

    private async ValueTask WriteAfterAsync(
        ValueTask acquiring, GuestClusters held, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await acquiring;
        await WriteHeldAsync(held, offset, bytes, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask EndInPlaceAsync(ValueTask writing, GuestClusters held, GuestOffset offset, int length)
    {
        try
        {
            try
            {
                await writing;
            }
            finally
            {
                locks.Release(held, exclusive: false);
            }

            session.MakeReadable(offset, length);
        }
        finally
        {
            // a part of a write that fails may have been written
            session.Record(offset, length);
        }
    }

    private async ValueTask WriteAnyAsync(
        GuestOffset offset, ReadOnlyMemory<byte> bytes, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (!session.IsReady)
        {
            await session.StartChangeAsync();
        }

        if (bytes.Length > 0)
        {
            try
            {
                int done = await WriteInPlaceAsync(offset, bytes, cancellationToken);
                while (done < bytes.Length)
                {
                    done += await WriteAllocatingAsync(offset + done, bytes[done..], cancellationToken);
                    done += done == bytes.Length ? 0 : await WriteInPlaceAsync(offset + done, bytes[done..], cancellationToken);
                }

                session.MakeReadable(offset, bytes.Length);
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

    /// <summary>Writes as far as the clusters can be overwritten, or filled with further subclusters.</summary>
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
                if (mapping.Writable)
                {
                    if (mapping.Length < bytes.Length - done && await IsFollowedByReservedAsync(mapping, offset + done))
                    {
                        break;
                    }

                    await data.WriteAsync(mapping.Host, offset + done, bytes.Slice(done, (int)mapping.Length), cancellationToken);
                    done += (int)mapping.Length;
                    continue;
                }

                if (!geometry.HasSubclusters || !mapping.HasOwnCluster)
                {
                    break;
                }

                int filled = await subclusters.FillAsync(offset + done, bytes.Slice(done, (int)mapping.Length), cancellationToken);
                done += filled;
                if (filled == 0)
                {
                    break;
                }
            }

            return done;
        }
        finally
        {
            locks.Release(held, exclusive: false);
        }
    }

    /// <returns>
    /// Bytes written: all, or what comes before a cluster that only lacks subclusters. Those are filled in parallel, without this lock.
    /// </returns>
    private async ValueTask<int> WriteAllocatingAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (allocator.PendingFreeClusters > Math.Min(MaxPendingFrees, MaxPendingBytes >> geometry.ClusterBits))
        {
            await flush.RunAsync();
        }

        var held = geometry.ClustersOf(offset, bytes.Length);
        await locks.AcquireAsync(held, exclusive: true);
        int done = 0;
        try
        {
            while (done < bytes.Length)
            {
                var mapping = await map.FindAsync(offset + done, bytes.Length - done, writes: true);
                var part = bytes.Slice(done, (int)mapping.Length);
                if (IsReusable(mapping))
                {
                    done += await WriteOwnAsync(mapping, offset + done, bytes[done..], cancellationToken);
                }
                else if (mapping.Writable)
                {
                    await data.WriteAsync(mapping.Host, offset + done, part, cancellationToken);
                    done += part.Length;
                }
                else if (geometry.HasSubclusters && mapping.HasOwnCluster)
                {
                    break;
                }
                else
                {
                    // one L2 slice at a time: a table's end is a slice's end
                    var at = offset + done;
                    part = part[..(int)Math.Min(part.Length, map.SliceEnd(at) - at)];
                    done += geometry.HasSubclusters
                        ? await subclusters.WriteAsync(mapping, at, part, cancellationToken)
                        : await WriteNewClustersAsync(mapping, at, part, cancellationToken);
                }
            }

            return done;
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
        var run = await clusters.AllocateAsync(start, count);
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
        catch
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }

    // clusters that are the image's own, with data or reserved; those with subclusters are filled one by one
    private bool IsReusable(Mapping mapping)
        => !geometry.HasSubclusters && mapping is { HasOwnCluster: true, Kind: ClusterKind.Normal or ClusterKind.ZeroAllocated };

    /// <summary>Whether clusters that are reserved follow a run, here and in the file: both are written at once, as in QEMU.</summary>
    private async ValueTask<bool> IsFollowedByReservedAsync(Mapping mapping, GuestOffset offset)
    {
        var next = await map.FindAsync(offset + mapping.Length, 1, writes: true);
        return next.Kind == ClusterKind.ZeroAllocated && IsReusable(next) && next.Host == mapping.Host + mapping.Length;
    }

    /// <summary>Writes to the image's own clusters, with data or reserved, as far as they lie side by side in one slice.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteOwnAsync(
        Mapping first, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var last = first;
        long length = first.Length, most = Math.Min(bytes.Length, map.SliceEnd(offset) - offset);
        bool isReserved = first.Kind == ClusterKind.ZeroAllocated;
        while (length < most)
        {
            var next = await map.FindAsync(offset + length, most - length, writes: true);
            if (!IsReusable(next) || next.Host != first.Host + length)
            {
                break;
            }

            isReserved |= next.Kind == ClusterKind.ZeroAllocated;
            last = next;
            length += next.Length;
        }

        bytes = bytes[..(int)Math.Min(length, most)];
        if (!isReserved)
        {
            await data.WriteAsync(first.Host, offset, bytes, cancellationToken);
            return bytes.Length;
        }

        // around data of the image nothing has to be written
        var end = offset + bytes.Length;
        int head = first.Kind == ClusterKind.ZeroAllocated ? geometry.InCluster(offset) : 0;
        int tail = last.Kind == ClusterKind.ZeroAllocated ? (int)(geometry.AlignUp(end) - end) : 0;
        var zeroes = first with { Kind = ClusterKind.ZeroAllocated };
        await copies.WriteAsync(zeroes, offset, bytes, head, tail, first.Host, knownZero: false, cancellationToken);
        var start = geometry.AlignDown(offset);
        await clusters.MapAsync(
            start, new ClusterRun(geometry.ClusterOf(first.Host), geometry.ClustersFor(end - start), KnownZero: false));
        return bytes.Length;
    }
}
