using System.Buffers;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Reads guest data, wherever they are: in clusters, compressed, in the backing image, or nowhere, which reads as zeroes.
/// </summary>
internal sealed class ClusterReader(
    IStorage storage, ImageHeader header, EngineLocks locks, ClusterMap map, DataLayer data, DecompressedCluster decompressed,
    UnreadableRanges unreadable, IBlockDevice? backing)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Reads a range of the disk.</summary>
    public ValueTask ReadAsync(GuestOffset offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.Length == 0)
        {
            return ValueTask.CompletedTask;
        }

        var clusters = _geometry.ClustersOf(offset, buffer.Length);
        var acquiring = locks.AcquireAsync(clusters, exclusive: false);
        if (!acquiring.IsCompletedSuccessfully)
        {
            return ReadAfterAsync(acquiring, clusters, offset, buffer, cancellationToken);
        }

        // most reads are one run, whose table is in memory
        ValueTask reading;
        try
        {
            if (!map.TryFind(offset, buffer.Length, out var mapping) || mapping.Length != buffer.Length)
            {
                return ReadAfterAsync(acquiring, clusters, offset, buffer, cancellationToken);
            }

            unreadable.ThrowIfIn(offset, buffer.Length);
            reading = ReadMappedAsync(mapping, offset, buffer, cancellationToken);
        }
        catch
        {
            locks.Release(clusters, exclusive: false);
            throw;
        }

        if (!reading.IsCompletedSuccessfully)
        {
            return ReleaseAfterAsync(reading, clusters);
        }

        locks.Release(clusters, exclusive: false);
        return reading;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReleaseAfterAsync(ValueTask reading, GuestClusters clusters)
    {
        try
        {
            await reading;
        }
        finally
        {
            locks.Release(clusters, exclusive: false);
        }
    }

    private async ValueTask ReadAfterAsync(
        ValueTask acquiring, GuestClusters clusters, GuestOffset offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await acquiring;
        try
        {
            unreadable.ThrowIfIn(offset, buffer.Length);
            while (buffer.Length > 0)
            {
                var mapping = await map.FindAsync(offset, buffer.Length);
                int count = (int)mapping.Length;
                await ReadMappedAsync(mapping, offset, buffer[..count], cancellationToken);
                offset += count;
                buffer = buffer[count..];
            }
        }
        finally
        {
            locks.Release(clusters, exclusive: false);
        }
    }

    /// <summary>Reads what a mapping describes. The caller holds the clusters.</summary>
    public ValueTask ReadMappedAsync(in Mapping mapping, GuestOffset offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        switch (mapping.Kind)
        {
            case ClusterKind.Normal:
                return data.ReadAsync(mapping.Host, offset, buffer, cancellationToken);
            case ClusterKind.Compressed:
                return ReadCompressedAsync(mapping.Entry, _geometry.InCluster(offset), buffer, cancellationToken);
            case ClusterKind.Unallocated when backing is not null:
                return ReadBackingAsync(offset, buffer, cancellationToken);
            default:
                buffer.Span.Clear();
                return ValueTask.CompletedTask;
        }
    }

    private async ValueTask ReadBackingAsync(GuestOffset offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int inside = (int)Math.Clamp(backing!.Length - offset.Value, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        if (inside > 0)
        {
            await storage.OnEventAsync("read_backing_aio");
            await backing.ReadAsync(offset.Value, buffer[..inside], cancellationToken);
        }
    }

    private async ValueTask ReadCompressedAsync(L2Entry entry, int at, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (decompressed.TryCopy(entry, at, buffer.Span))
        {
            return;
        }

        var descriptor = CompressedDescriptor.Decode(entry, _geometry.ClusterBits);
        var packed = ArrayPool<byte>.Shared.Rent(descriptor.Length);
        try
        {
            await storage.OnEventAsync("read_compressed");
            await storage.ReadAsync(descriptor.Offset.Value, packed.AsMemory(0, descriptor.Length), cancellationToken);
            if (buffer.Length == _geometry.ClusterSize)
            {
                Unpack(packed, descriptor, entry, buffer.Span);
                return;
            }

            var whole = new byte[_geometry.ClusterSize];
            Unpack(packed, descriptor, entry, whole);
            whole.AsSpan(at, buffer.Length).CopyTo(buffer.Span);
            decompressed.Keep(entry, whole);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed);
        }
    }

    private void Unpack(byte[] packed, CompressedDescriptor descriptor, L2Entry entry, Span<byte> cluster)
    {
        if (!ClusterCompression.TryDecompress(header.Compression, packed, descriptor.Length, cluster))
        {
            throw new ImageCorruptException(
                "compressed cluster", descriptor.Offset, $"its data does not unpack to a cluster (entry 0x{entry.Raw:x16})");
        }
    }
}
