using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Writes guest data: in place where the clusters are the image's alone, else into new clusters with the rest copied.</summary>
internal sealed class ClusterWriter(
    IStorage storage, ClusterGeometry geometry, EngineLocks locks, WriteSession session, ClusterMap map, NewClusters clusters,
    Allocator allocator, DataLayer data, ClusterReader reader, ImageFlush flush, IBlockDevice? backing)
{
    /// <summary>A new cluster's head, data and tail go out as one request up to this many bytes.</summary>
    private const int MergeBytes = 256 << 10;

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
            int done = await WriteInPlaceAsync(offset, bytes, cancellationToken);
            if (done < bytes.Length)
            {
                await WriteAllocatingAsync(offset + done, bytes[done..], cancellationToken);
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
                var mapping = await map.FindAsync(offset + done, bytes.Length - done);
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
                var mapping = await map.FindAsync(offset, bytes.Length);
                int count = (int)mapping.Length;
                if (mapping.Writable)
                {
                    await data.WriteAsync(mapping.Host, offset, bytes[..count], cancellationToken);
                }
                else
                {
                    // one L2 slice at a time: a table's end is a slice's end
                    count = (int)Math.Min(count, map.SliceEnd(offset) - offset);
                    count = await WriteNewClustersAsync(mapping, offset, bytes[..count], cancellationToken);
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
        bool reuse = mapping.Kind == ClusterKind.ZeroAllocated && mapping.Entry.IsCopied;
        var run = reuse
            ? new ClusterRun(geometry.ClusterOf(mapping.Entry.Offset), count, KnownZero: false)
            : await clusters.AllocateAsync(start, count);
        if (run.Count < count)
        {
            bytes = bytes[..(int)(start + geometry.BytesIn(run.Count) - offset)];
        }

        try
        {
            await WriteWithRestAsync(mapping, offset, bytes, geometry.OffsetOf(run.First), run.KnownZero, cancellationToken);
            await clusters.MapAsync(start, run);
            return bytes.Length;
        }
        catch when (!reuse)
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }

    /// <summary>Writes data into new clusters at <paramref name="host"/>, and before and after it what the guest had there.</summary>
    private async ValueTask WriteWithRestAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, HostOffset host, bool knownZero,
        CancellationToken cancellationToken)
    {
        int head = geometry.InCluster(offset);
        int tail = (int)(geometry.AlignUp(offset + bytes.Length) - offset - bytes.Length);
        bool zeroes = mapping.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
            || (mapping.Kind == ClusterKind.Unallocated && backing is null);
        if (zeroes && (head | tail) != 0)
        {
            await storage.OnEventAsync("cluster_alloc_space");
        }

        if ((head | tail) == 0 || (zeroes && knownZero))
        {
            await data.WriteAsync(host + head, offset, bytes, cancellationToken);
            return;
        }

        int total = head + bytes.Length + tail;
        var headPart = new Rest(mapping with { Host = mapping.Host + -head }, offset + -head, host, head, zeroes);
        var tailPart = new Rest(
            mapping with { Host = mapping.Host + bytes.Length }, offset + bytes.Length, host + (head + bytes.Length), tail, zeroes);
        if (total > MergeBytes)
        {
            await CopyAsync(headPart, cancellationToken);
            await data.WriteAsync(host + head, offset, bytes, cancellationToken);
            await CopyAsync(tailPart, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(total);
        try
        {
            await ReadAsync(headPart, buffer.AsMemory(0, head), cancellationToken);
            bytes.CopyTo(buffer.AsMemory(head));
            await ReadAsync(tailPart, buffer.AsMemory(head + bytes.Length, tail), cancellationToken);
            if (!zeroes)
            {
                await storage.OnEventAsync("cow_write");
            }

            await data.WriteAsync(host, offset + -head, buffer.AsMemory(0, total), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask CopyAsync(Rest rest, CancellationToken cancellationToken)
    {
        if (rest.Length == 0)
        {
            return;
        }

        if (rest.Zeroes && !data.IsEncrypted)
        {
            await storage.WriteZeroesAsync(rest.Target.Value, rest.Length, ZeroFlags.None, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(rest.Length);
        try
        {
            await ReadAsync(rest, buffer.AsMemory(0, rest.Length), cancellationToken);
            await storage.OnEventAsync("cow_write");
            await data.WriteAsync(rest.Target, rest.Guest, buffer.AsMemory(0, rest.Length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask ReadAsync(Rest rest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.Length == 0)
        {
            return;
        }

        if (rest.Zeroes)
        {
            buffer.Span.Clear();
            return;
        }

        await storage.OnEventAsync("cow_read");
        await reader.ReadMappedAsync(rest.Mapping, rest.Guest, buffer, cancellationToken);
    }

    /// <summary>A part of new clusters that the write does not cover.</summary>
    /// <param name="Mapping">How the guest has it now.</param>
    /// <param name="Guest">Where it starts on the disk.</param>
    /// <param name="Target">Where it starts in the new clusters.</param>
    /// <param name="Length">Its length; 0 where there is none.</param>
    /// <param name="Zeroes">Whether it reads as zeroes.</param>
    private readonly record struct Rest(Mapping Mapping, GuestOffset Guest, HostOffset Target, int Length, bool Zeroes);
}
