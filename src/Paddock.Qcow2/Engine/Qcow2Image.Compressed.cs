using System.Buffers;
using System.IO.Compression;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// compressed clusters
public sealed partial class Qcow2Image
{
    private const int SectorSize = 512;

    private readonly Lock _decompressedLock = new();
    private byte[]? _decompressed;
    private L2Entry _decompressedEntry;

    /// <inheritdoc/>
    public async ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        await StartWritingAsync();
        if (_geometry.InCluster(offset) != 0 || (_geometry.InCluster(data.Length) != 0 && offset + data.Length != Length))
        {
            throw new BlockException(BlockError.InvalidArgument, "compressed writes are of whole clusters");
        }

        while (data.Length > 0)
        {
            int count = Math.Min(data.Length, _geometry.ClusterSize);
            await WriteCompressedClusterAsync(offset, data[..count], cancellationToken);
            offset += count;
            data = data[count..];
        }
    }

    private async ValueTask WriteCompressedClusterAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int size = _geometry.ClusterSize;
        var buffers = ArrayPool<byte>.Shared.Rent((size * 2) + SectorSize);
        try
        {
            data.CopyTo(buffers);
            buffers.AsSpan(data.Length, size - data.Length).Clear();
            int packed = ClusterCompression.Compress(
                (Qcow2Compression)_header.CompressionType, buffers.AsSpan(0, size), buffers.AsSpan(size, size - 1));
            if (packed < 0)
            {
                await WriteAsync(offset, data, WriteFlags.None, cancellationToken);
                return;
            }

            buffers.AsSpan(size + packed, SectorSize).Clear();
            await StoreCompressedAsync(offset, packed, buffers.AsMemory(size, packed + SectorSize), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffers);
        }
    }

    /// <param name="offset">The cluster's offset on the disk.</param>
    /// <param name="length">Bytes of compressed data.</param>
    /// <param name="padded">The data, and a sector of zeroes behind it.</param>
    /// <param name="cancellationToken">Stops it.</param>
    private async ValueTask StoreCompressedAsync(long offset, int length, ReadOnlyMemory<byte> padded, CancellationToken cancellationToken)
    {
        long cluster = offset >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(cluster, cluster, exclusive: true);
        await _meta.AcquireAsync();
        try
        {
            long table = await EnsureL2TableAsync(offset);
            var (slice, index) = SliceOf(table, offset);
            var old = new L2Entry(ReadEntry(await _l2.GetAsync(slice, _makeRoom), index));
            if (old.Kind is ClusterKind.Normal or ClusterKind.Compressed)
            {
                throw new BlockException(BlockError.Io, "a compressed write cannot replace a cluster that is allocated");
            }

            long host = await _refcounts.AllocateBytesAsync(length);
            if (host + length > CompressedDescriptor.OffsetLimit(_geometry.ClusterBits))
            {
                throw new BlockException(BlockError.TooLarge, "the image is too large for another compressed cluster");
            }

            await _storage.OnEventAsync("write_compressed");
            await _storage.WriteAsync(host, PackedWithEnd(host, length, padded), cancellationToken);
            await SetEntryAsync(table, offset, CompressedDescriptor.Encode(new HostOffset(host), length, _geometry.ClusterBits));
            Release(old);
            DropDecompressed();
        }
        finally
        {
            _meta.Release();
            _ranges.Release(cluster, cluster, exclusive: true);
        }
    }

    // a file ends at a whole sector: direct I/O and block stores read no other
    private ReadOnlyMemory<byte> PackedWithEnd(long host, int length, ReadOnlyMemory<byte> padded)
    {
        long end = host + length;
        return end >= _storage.Length ? padded[..(length + (int)(-end & (SectorSize - 1)))] : padded[..length];
    }

    private async ValueTask ReadCompressedAsync(L2Entry entry, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (TryCopyDecompressed(entry, offset, buffer.Span))
        {
            return;
        }

        var descriptor = CompressedDescriptor.Decode(entry, _geometry.ClusterBits);
        var packed = ArrayPool<byte>.Shared.Rent(descriptor.Length);
        try
        {
            await _storage.OnEventAsync("read_compressed");
            await _storage.ReadAsync(descriptor.Offset.Value, packed.AsMemory(0, descriptor.Length), cancellationToken);
            var whole = new byte[_geometry.ClusterSize];
            if (!ClusterCompression.TryDecompress((Qcow2Compression)_header.CompressionType, packed.AsSpan(0, descriptor.Length), whole))
            {
                throw new ImageCorruptException("compressed cluster", descriptor.Offset, $"its data does not unpack to a cluster (entry 0x{entry.Raw:x16})");
            }

            whole.AsSpan(_geometry.InCluster(offset), buffer.Length).CopyTo(buffer.Span);
            lock (_decompressedLock)
            {
                _decompressed = whole;
                _decompressedEntry = entry;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed);
        }
    }

    // small sequential reads of one cluster unpack it once
    private bool TryCopyDecompressed(L2Entry entry, long offset, Span<byte> buffer)
    {
        lock (_decompressedLock)
        {
            if (_decompressed is null || _decompressedEntry != entry)
            {
                return false;
            }

            _decompressed.AsSpan(_geometry.InCluster(offset), buffer.Length).CopyTo(buffer);
            return true;
        }
    }

    private void DropDecompressed()
    {
        lock (_decompressedLock)
        {
            _decompressed = null;
        }
    }
}
