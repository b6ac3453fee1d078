using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Zones that are READ ONLY or OFFLINE (zoned-qcow2.md 1.4; docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     magic: "PDKZCOND"
/// 8       4     zones: number of entries
/// 12      4     CRC-32C of the entries
/// 16      n     one byte a zone: 0 derived from the pointer, 13 READ ONLY, 15 OFFLINE
/// </code>
/// Magic and checksum stand there because a program that knows zones and not this table may free and reuse its clusters.
/// </summary>
internal static class ZoneConditionTable
{
    private const ulong Magic = 0x50444b5a434f4e44;
    private const int MagicAt = 0;
    private const int ZonesAt = MagicAt + sizeof(ulong);
    private const int ChecksumAt = ZonesAt + sizeof(uint);
    private const int EntriesAt = ChecksumAt + sizeof(uint);

    /// <summary>Bytes of a table.</summary>
    public static long SizeOf(uint zones) => EntriesAt + (long)zones;

    /// <summary>Parses a table; false, with the reason, if it is invalid.</summary>
    /// <param name="table">All of it.</param>
    /// <param name="conditions">Takes an entry a zone; the table may have fewer or more. What is no known condition is OFFLINE.</param>
    /// <param name="problem">Why it is invalid.</param>
    public static bool TryParse(ReadOnlySpan<byte> table, Span<ZoneCondition> conditions, out string? problem)
    {
        conditions.Clear();
        var entries = table[EntriesAt..];
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(table[MagicAt..]);
        uint zones = BinaryPrimitives.ReadUInt32BigEndian(table[ZonesAt..]);
        uint checksum = BinaryPrimitives.ReadUInt32BigEndian(table[ChecksumAt..]);
        problem = magic != Magic ? $"its magic is 0x{magic:x}"
            : zones != entries.Length ? $"zones is {zones}, and the extension says {entries.Length}"
            : checksum != Crc32C.Of(entries) ? $"its checksum is 0x{checksum:x}, and must be 0x{Crc32C.Of(entries):x}"
            : null;
        if (problem is not null)
        {
            return false;
        }

        for (int zone = 0; zone < Math.Min(entries.Length, conditions.Length); zone++)
        {
            conditions[zone] = (ZoneCondition)entries[zone] switch
            {
                0 => 0,
                ZoneCondition.ReadOnly => ZoneCondition.ReadOnly,
                _ => ZoneCondition.Offline,
            };
        }

        return true;
    }

    /// <summary>The table of these conditions; what is neither READ ONLY nor OFFLINE is stored as 0.</summary>
    public static byte[] Build(ReadOnlySpan<ZoneCondition> conditions)
    {
        var table = new byte[SizeOf((uint)conditions.Length)];
        for (int zone = 0; zone < conditions.Length; zone++)
        {
            bool kept = conditions[zone] is ZoneCondition.ReadOnly or ZoneCondition.Offline;
            table[EntriesAt + zone] = kept ? (byte)conditions[zone] : (byte)0;
        }

        BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(MagicAt), Magic);
        BinaryPrimitives.WriteUInt32BigEndian(table.AsSpan(ZonesAt), (uint)conditions.Length);
        BinaryPrimitives.WriteUInt32BigEndian(table.AsSpan(ChecksumAt), Crc32C.Of(table.AsSpan(EntriesAt)));
        return table;
    }
}
