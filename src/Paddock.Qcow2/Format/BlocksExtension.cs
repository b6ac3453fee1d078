using System.Buffers.Binary;

namespace Paddock.Qcow2.Format;

/// <summary>
/// Paddock's header extension for blocks of the disk, 0x50444b42 (docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     version: 1
/// 4       4     flags: bit 0: entries of the active L2 tables may share clusters
/// 8       4     ranges: number of unreadable ranges
/// 12      4     zero
/// 16      8     ranges_offset: host offset of the table of unreadable ranges, cluster-aligned; 0: no table
/// </code>
/// Bytes after these belong to later revisions of version 1: they are kept and not read.
/// </summary>
/// <param name="SharesClusters">Whether entries of the active L2 tables may share clusters.</param>
/// <param name="Ranges">Number of unreadable ranges.</param>
/// <param name="RangesOffset">Where their table lies; 0: nowhere.</param>
internal readonly record struct BlocksExtension(bool SharesClusters, uint Ranges, HostOffset RangesOffset)
{
    public const int Size = OffsetAt + sizeof(ulong);

    private const uint KnownVersion = 1, SharesFlag = 1;
    private const int VersionAt = 0;
    private const int FlagsAt = VersionAt + sizeof(uint);
    private const int RangesAt = FlagsAt + sizeof(uint);
    private const int OffsetAt = RangesAt + (2 * sizeof(uint));

    /// <summary>
    /// Reads the extension. What it says is optional: a version that is not known, or a field beyond its limit, gives the reason, and the
    /// image opens without it.
    /// </summary>
    public static BlocksExtension? Parse(ReadOnlySpan<byte> data, int clusterSize, long fileLength, out string? problem)
    {
        if (data.Length < Size)
        {
            problem = $"its length is {data.Length}, and must be at least {Size}";
            return null;
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(data[VersionAt..]);
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(data[FlagsAt..]);
        uint ranges = BinaryPrimitives.ReadUInt32BigEndian(data[RangesAt..]);
        long offset = BinaryPrimitives.ReadInt64BigEndian(data[OffsetAt..]);
        problem = version != KnownVersion ? $"version is {version}, and {KnownVersion} is known"
            : ranges > UnreadableTable.MaxRanges ? $"ranges is {ranges}, and must be at most {UnreadableTable.MaxRanges}"
            : offset != 0 && (offset < 0 || offset % clusterSize != 0 || UnreadableTable.SizeOf(ranges) > fileLength - offset)
                ? $"ranges_offset is {offset}, and must be a cluster whose table lies inside the file of {fileLength} bytes"
            : null;
        return problem is null ? new BlocksExtension((flags & SharesFlag) != 0, ranges, new HostOffset(offset)) : null;
    }

    /// <summary>A copy of the bytes without a table of ranges.</summary>
    public static byte[] WithoutRanges(ReadOnlySpan<byte> data)
    {
        byte[] copy = data.ToArray();
        if (copy.Length >= Size)
        {
            BinaryPrimitives.WriteUInt32BigEndian(copy.AsSpan(RangesAt), 0);
            BinaryPrimitives.WriteInt64BigEndian(copy.AsSpan(OffsetAt), 0);
        }

        return copy;
    }

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void WriteTo(Span<byte> data)
    {
        data[..Size].Clear();
        BinaryPrimitives.WriteUInt32BigEndian(data[VersionAt..], KnownVersion);
        BinaryPrimitives.WriteUInt32BigEndian(data[FlagsAt..], SharesClusters ? SharesFlag : 0);
        BinaryPrimitives.WriteUInt32BigEndian(data[RangesAt..], Ranges);
        BinaryPrimitives.WriteInt64BigEndian(data[OffsetAt..], RangesOffset.Value);
    }
}
