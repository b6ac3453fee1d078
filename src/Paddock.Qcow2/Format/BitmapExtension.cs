using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The header extension that names the directory of persistent bitmaps. It counts only while the autoclear bit of bitmaps is set:
/// else a program that does not update bitmaps has written to the image.
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     bitmaps
/// 4       4     reserved, 0
/// 8       8     bytes of the directory
/// 16      8     directory offset
/// </code>
/// </summary>
/// <param name="Count">Bitmaps in the directory.</param>
/// <param name="Bytes">Bytes of the directory.</param>
/// <param name="Directory">Offset in bytes.</param>
internal sealed record BitmapExtension(uint Count, long Bytes, HostOffset Directory)
{
    public const int Size = 24;

    private const int ReservedAt = 4, BytesAt = 8, OffsetAt = 16;

    /// <summary>Reads and validates the extension.</summary>
    /// <exception cref="BlockException">A field is beyond its limit.</exception>
    public static BitmapExtension Parse(byte[] data, ClusterGeometry geometry)
    {
        Refuse(data.Length != Size, "bitmaps_ext: Invalid extension length");
        uint count = BinaryPrimitives.ReadUInt32BigEndian(data);
        ulong bytes = BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(BytesAt)),
            offset = BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(OffsetAt));
        Refuse(BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(ReservedAt)) != 0, "bitmaps_ext: Reserved field is not zero");
        Refuse(
            count > Qcow2Limits.MaxBitmaps,
            $"bitmaps_ext: image has {count} bitmaps, exceeding the QEMU supported maximum of {Qcow2Limits.MaxBitmaps}");
        Refuse(count == 0, "found bitmaps extension with zero bitmaps");
        Refuse(offset > long.MaxValue || geometry.InCluster((long)offset) != 0, "bitmaps_ext: invalid bitmap directory offset");
        Refuse(
            bytes > Qcow2Limits.MaxBitmapDirectoryBytes,
            $"bitmaps_ext: bitmap directory size ({bytes}) exceeds the maximum supported size ({Qcow2Limits.MaxBitmapDirectoryBytes})");
        return new BitmapExtension(count, (long)bytes, new HostOffset((long)offset));
    }

    /// <summary>The header extension.</summary>
    public HeaderExtension ToExtension()
    {
        var data = new byte[Size];
        BinaryPrimitives.WriteUInt32BigEndian(data, Count);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(BytesAt), Bytes);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(OffsetAt), Directory.Value);
        return new HeaderExtension(HeaderExtension.Bitmaps, data);
    }

    private static void Refuse(bool bad, string message)
    {
        if (bad)
        {
            throw new BlockException(BlockError.InvalidArgument, message);
        }
    }
}
