using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Writes whole clusters compressed, side by side in host clusters that they share.</summary>
internal sealed class CompressedWriter(
    IStorage storage, ImageHeader header, EngineLocks locks, WriteSession session, ClusterMap map, Allocator allocator,
    ClusterWriter writer, DecompressedCluster decompressed, bool isExternal)
{
    private const int SectorSize = 512, NotSupported = 95;

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Writes clusters that are not allocated; what does not become smaller is written as it is.</summary>
    public async ValueTask WriteAsync(GuestOffset offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (isExternal)
        {
            throw new BlockException(BlockError.NotSupported, "an image with an external data file takes no compressed writes")
            {
                Errno = NotSupported,
            };
        }

        session.EnsureWritable(offset, data.Length);
        if (header.IsEncrypted)
        {
            throw new BlockException(BlockError.NotSupported, "Compression and encryption not supported at the same time");
        }

        await session.StartChangeAsync();
        if (_geometry.InCluster(offset) != 0
            || (_geometry.InCluster(data.Length) != 0 && offset.Value + data.Length != header.VirtualSize))
        {
            throw new BlockException(BlockError.InvalidArgument, "compressed writes are of whole clusters");
        }

        int size = _geometry.ClusterSize, clusters = (data.Length + size - 1) / size;
        if (clusters == 1)
        {
            await StoreAsync(offset, data, Pack(data), cancellationToken);
            return;
        }

        // clusters are packed by several threads, and stored in order
        var waiting = new Queue<Task<Packed>>();
        int begun = 0, most = Math.Min(clusters, Environment.ProcessorCount * 2);
        try
        {
            for (int stored = 0; stored < clusters; stored++)
            {
                for (; begun < clusters && waiting.Count < most; begun++)
                {
                    var next = ClusterAt(data, begun);
                    waiting.Enqueue(Task.Run(() => Pack(next), CancellationToken.None));
                }

                var packed = await waiting.Dequeue();
                await StoreAsync(offset + ((long)stored * size), ClusterAt(data, stored), packed, cancellationToken);
            }
        }
        finally
        {
            // after a failure: nobody stores these
            foreach (var task in waiting)
            {
                ArrayPool<byte>.Shared.Return((await task).Buffer);
            }
        }
    }

    private ReadOnlyMemory<byte> ClusterAt(ReadOnlyMemory<byte> data, int index)
    {
        int at = index * _geometry.ClusterSize;
        return data.Slice(at, Math.Min(_geometry.ClusterSize, data.Length - at));
    }

    private Packed Pack(ReadOnlyMemory<byte> data)
    {
        int size = _geometry.ClusterSize;
        byte[] buffer = ArrayPool<byte>.Shared.Rent((size * 2) + SectorSize);
        if (data.Length == size)
        {
            return new(buffer, ClusterCompression.Compress(header.Compression, data.Span, buffer.AsMemory(0, size - 1)));
        }

        // the last cluster of a disk
        var whole = buffer.AsSpan(size + SectorSize, size);
        data.Span.CopyTo(whole);
        whole[data.Length..].Clear();
        return new(buffer, ClusterCompression.Compress(header.Compression, whole, buffer.AsMemory(0, size - 1)));
    }

    private async ValueTask StoreAsync(GuestOffset offset, ReadOnlyMemory<byte> data, Packed packed, CancellationToken cancellationToken)
    {
        try
        {
            if (packed.Length < 0)
            {
                await writer.WriteAsync(offset, data, WriteFlags.None, cancellationToken);
                return;
            }

            packed.Buffer.AsSpan(packed.Length, SectorSize).Clear();
            await StoreAsync(offset, packed.Length, packed.Buffer.AsMemory(0, packed.Length + SectorSize), cancellationToken);
            session.Record(offset, data.Length);
            session.MakeReadable(offset, data.Length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed.Buffer);
        }
    }

    private readonly record struct Packed(byte[] Buffer, int Length);

    /// <param name="offset">The cluster's offset on the disk.</param>
    /// <param name="length">Bytes of compressed data.</param>
    /// <param name="padded">The data, and a sector of zeroes after it.</param>
    /// <param name="cancellationToken">Stops it.</param>
    private async ValueTask StoreAsync(GuestOffset offset, int length, ReadOnlyMemory<byte> padded, CancellationToken cancellationToken)
    {
        var held = _geometry.ClustersOf(offset, 1);
        await locks.AcquireAsync(held, exclusive: true);
        await locks.Metadata.AcquireAsync();
        try
        {
            var table = await map.EnsureTableAsync(offset);
            var old = await GetAsync(table, offset);
            if (old.HoldsData)
            {
                throw new BlockException(BlockError.Io, "a compressed write cannot replace a cluster that is allocated");
            }

            var host = await allocator.AllocateBytesAsync(length);
            if (host.Value + length > CompressedDescriptor.OffsetLimit(_geometry.ClusterBits))
            {
                throw new BlockException(BlockError.TooLarge, "the image is too large for another compressed cluster");
            }

            // as in QEMU before the data, although the entry is set after them: a rule then fails the same request
            await storage.OnEventAsync("l2_update_compressed");
            await storage.OnEventAsync("write_compressed");
            await storage.WriteAsync(host.Value, PackedWithEnd(host, length, padded), cancellationToken);
            await SetAsync(table, offset, old, CompressedDescriptor.Encode(host, length, _geometry.ClusterBits));
            map.Release(old.Cluster);
            decompressed.Drop();
        }
        finally
        {
            locks.Metadata.Release();
            locks.Release(held, exclusive: true);
        }
    }

    // without extended entries: an entry whose subclusters are all alike
    private async ValueTask<ExtendedL2Entry> GetAsync(HostOffset table, GuestOffset offset)
    {
        if (_geometry.HasSubclusters)
        {
            return await map.GetExtendedAsync(table, offset);
        }

        var entry = await map.GetAsync(table, offset);
        return new(entry, entry.Kind == ClusterKind.Normal ? SubclusterMap.AllAllocated : default);
    }

    private async ValueTask SetAsync(HostOffset table, GuestOffset offset, ExtendedL2Entry old, L2Entry entry)
    {
        if (_geometry.HasSubclusters)
        {
            await map.SetExtendedAsync(table, offset, old, new(entry, default));
        }
        else
        {
            await map.SetAsync(table, offset, entry);
        }
    }

    // a file ends at a whole sector: direct I/O and block stores read no other
    private ReadOnlyMemory<byte> PackedWithEnd(HostOffset host, int length, ReadOnlyMemory<byte> padded)
    {
        long end = host.Value + length;
        return end >= storage.Length ? padded[..(length + (int)(-end & (SectorSize - 1)))] : padded[..length];
    }
}
