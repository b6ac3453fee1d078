using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The ranges of the disk that cannot be read until they are written (docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     magic: "PDKBADLB"
/// 8       4     ranges: number of ranges
/// 12      4     checksum: CRC-32C of the ranges
/// 16      16n   start and end of each range in bytes of the disk, multiples of 512; ascending, with a gap between two
/// </code>
/// </summary>
internal static class UnreadableTable
{
    /// <summary>The most ranges that an image keeps.</summary>
    public const int MaxRanges = 4096;

    public const int Unit = 512;

    private const ulong Magic = 0x50444b4241444c42;
    private const int MagicAt = 0;
    private const int CountAt = MagicAt + sizeof(ulong);
    private const int ChecksumAt = CountAt + sizeof(uint);
    private const int RangesAt = ChecksumAt + sizeof(uint);
    private const int RangeSize = 2 * sizeof(ulong);

    /// <summary>Bytes of a table.</summary>
    public static long SizeOf(uint ranges) => RangesAt + ((long)ranges * RangeSize);

    /// <summary>Parses a table; null, with the reason, if it is invalid.</summary>
    public static List<UnreadableRange>? TryParse(ReadOnlySpan<byte> table, out string? problem)
    {
        uint ranges = (uint)((table.Length - RangesAt) / RangeSize);
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(table[MagicAt..]);
        uint count = BinaryPrimitives.ReadUInt32BigEndian(table[CountAt..]);
        uint checksum = BinaryPrimitives.ReadUInt32BigEndian(table[ChecksumAt..]);
        problem = magic != Magic ? $"its magic is 0x{magic:x}"
            : count != ranges ? $"ranges is {count}, and the extension says {ranges}"
            : checksum != Crc32C.Of(table[RangesAt..]) ? "its checksum is wrong"
            : null;
        var list = new List<UnreadableRange>((int)ranges);
        long last = -1;
        for (int at = RangesAt; problem is null && at < table.Length; at += RangeSize)
        {
            long start = BinaryPrimitives.ReadInt64BigEndian(table[at..]);
            long end = BinaryPrimitives.ReadInt64BigEndian(table[(at + sizeof(ulong))..]);
            problem = start <= last || end <= start || ((start | end) & (Unit - 1)) != 0 ? $"range {list.Count} is {start} to {end}" : null;
            list.Add(new(start, end));
            last = end;
        }

        return problem is null ? list : null;
    }

    /// <summary>The table of these ranges.</summary>
    public static byte[] Build(IReadOnlyList<UnreadableRange> ranges)
    {
        var table = new byte[SizeOf((uint)ranges.Count)];
        int at = RangesAt;
        foreach (var (start, end) in ranges)
        {
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(at), start);
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(at + sizeof(ulong)), end);
            at += RangeSize;
        }

        BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(MagicAt), Magic);
        BinaryPrimitives.WriteUInt32BigEndian(table.AsSpan(CountAt), (uint)ranges.Count);
        BinaryPrimitives.WriteUInt32BigEndian(table.AsSpan(ChecksumAt), Crc32C.Of(table.AsSpan(RangesAt)));
        return table;
    }
}

/// <summary>A range of the disk that cannot be read.</summary>
/// <param name="Start">First byte.</param>
/// <param name="End">The byte after the last.</param>
internal readonly record struct UnreadableRange(long Start, long End);
