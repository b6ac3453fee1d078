using System.IO.Compression;
using Paddock.Qcow2.Format;
using ZstdSharp;

namespace Paddock.Qcow2;

/// <summary>Packs and unpacks the data of one cluster. Any thread may call it, several at once.</summary>
internal static class ClusterCompression
{
    // faster than the default levels, and less than 1 % larger
    private const int ZstdLevel = 2;
    private static readonly ZLibCompressionOptions Deflate = new() { CompressionLevel = 2 };

    // a context takes longer to create than a cluster to pack
    [ThreadStatic]
    private static Compressor? _compressor;

    [ThreadStatic]
    private static Decompressor? _decompressor;

    /// <summary>Packs; -1 when the result does not fit.</summary>
    public static int Compress(Qcow2Compression type, ReadOnlySpan<byte> data, Memory<byte> packed)
    {
        if (type == Qcow2Compression.Zstd)
        {
            _compressor ??= new Compressor(ZstdLevel);
            return _compressor.TryWrap(data, packed.Span, out int written) ? written : -1;
        }

        var target = new BoundedStream(packed);
        using (var deflate = new DeflateStream(target, Deflate, leaveOpen: true))
        {
            deflate.Write(data);
        }

        return target.Count;
    }

    /// <summary>Unpacks a whole cluster; bytes behind the stream (the rest of its last sector) are passed over.</summary>
    /// <param name="type">How it is packed.</param>
    /// <param name="packed">Buffer that begins with the packed bytes.</param>
    /// <param name="count">Number of packed bytes.</param>
    /// <param name="cluster">The cluster.</param>
    public static bool TryDecompress(Qcow2Compression type, byte[] packed, int count, Span<byte> cluster)
    {
        try
        {
            if (type == Qcow2Compression.Zstd && TryUnpackFrame(packed.AsSpan(0, count), cluster))
            {
                return true;
            }

            using var memory = new MemoryStream(packed, 0, count, writable: false);
            using Stream stream = type == Qcow2Compression.Zstd
                ? new DecompressionStream(memory) : new DeflateStream(memory, CompressionMode.Decompress);
            return stream.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false) == cluster.Length;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or ZstdException)
        {
            return false;
        }
    }

    // one frame with the whole cluster, as QEMU and we write it
    private static bool TryUnpackFrame(ReadOnlySpan<byte> packed, Span<byte> cluster)
    {
        int size = ZstdFrame.SizeOf(packed);
        _decompressor ??= new Decompressor();
        return size >= 0 && _decompressor.TryUnwrap(packed[..size], cluster, out int written) && written == cluster.Length;
    }

    /// <summary>Takes bytes up to a limit and drops the rest.</summary>
    private sealed class BoundedStream(Memory<byte> buffer) : Stream
    {
        private int _count;

        /// <summary>Number of bytes; -1 if some were dropped.</summary>
        public int Count => _count;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => _count;

        public override long Position { get => _count; set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> bytes)
        {
            if (_count < 0 || bytes.Length > buffer.Length - _count)
            {
                _count = -1;
                return;
            }

            bytes.CopyTo(buffer.Span[_count..]);
            _count += bytes.Length;
        }

        public override void Write(byte[] bytes, int offset, int count) => Write(bytes.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] bytes, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
