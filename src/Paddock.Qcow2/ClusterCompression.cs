using System.IO.Compression;

namespace Paddock.Qcow2;

/// <summary>Packs and unpacks the data of one cluster.</summary>
internal static class ClusterCompression
{
    /// <summary>Packs; -1 when the result does not fit.</summary>
    public static int Compress(Qcow2Compression type, ReadOnlySpan<byte> data, Span<byte> packed)
    {
        if (type == Qcow2Compression.Zstd)
        {
            using var compressor = new ZstdSharp.Compressor();
            return compressor.TryWrap(data, packed, out int written) ? written : -1;
        }

        using var memory = new MemoryStream(packed.Length);
        using (var deflate = new DeflateStream(memory, CompressionLevel.Optimal, leaveOpen: true))
        {
            deflate.Write(data);
        }

        if (memory.Length > packed.Length)
        {
            return -1;
        }

        memory.GetBuffer().AsSpan(0, (int)memory.Length).CopyTo(packed);
        return (int)memory.Length;
    }

    /// <summary>Unpacks a whole cluster; bytes behind the stream (the rest of its last sector) are passed over.</summary>
    public static bool TryDecompress(Qcow2Compression type, ReadOnlySpan<byte> packed, Span<byte> cluster)
    {
        using var memory = new MemoryStream(packed.ToArray(), writable: false);
        try
        {
            using Stream stream = type == Qcow2Compression.Zstd
                ? new ZstdSharp.DecompressionStream(memory)
                : new DeflateStream(memory, CompressionMode.Decompress);
            return stream.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false) == cluster.Length;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or ZstdSharp.ZstdException)
        {
            return false;
        }
    }
}
