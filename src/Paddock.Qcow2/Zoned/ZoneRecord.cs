using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zones of a disk at the moment of a snapshot (docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE        MEANING
/// 0       8           magic: "PDKZSNAP"
/// 8       4           version: 1
/// 12      4           zones: their number, n
/// 16      8           zone_size: bytes
/// 24      4           extension_bytes: of each descriptor extension
/// 28      4           extensions: how many zones have one, m
/// 32      8n          write pointers: bytes from the start of the disk; of a conventional zone its start
/// 32+8n   n           conditions: 0 derived from the pointer, 13 READ ONLY, 15 OFFLINE
/// 32+9n   m(4+bytes)  a zone's index and its extension, by ascending index
/// </code>
/// </summary>
internal sealed record ZoneRecord
{
    private const ulong Magic = 0x50444b5a534e4150;
    private const uint Version = 1;
    private const int VersionAt = 8, ZonesAt = 12, SizeAt = 16, ExtensionBytesAt = 24, ExtensionsAt = 28, PointersAt = 32;

    /// <summary>Bytes of a zone.</summary>
    public required long ZoneSize { get; init; }

    /// <summary>Write pointers.</summary>
    public required long[] Pointers { get; init; }

    /// <summary>READ ONLY, OFFLINE, or 0.</summary>
    public required ZoneCondition[] Conditions { get; init; }

    /// <summary>Bytes of each extension.</summary>
    public required int ExtensionBytes { get; init; }

    /// <summary>Extensions by zone, ascending.</summary>
    public required IReadOnlyList<(int Zone, byte[] Data)> Extensions { get; init; }

    /// <summary>Reads a record; null, with the reason, if it is invalid.</summary>
    /// <param name="bytes">All of it.</param>
    /// <param name="zoneSize">Of the image: zones keep their size for ever.</param>
    /// <param name="problem">Why it is invalid.</param>
    public static ZoneRecord? Parse(ReadOnlySpan<byte> bytes, long zoneSize, out string? problem)
    {
        problem = "it is too short";
        if (bytes.Length < PointersAt)
        {
            return null;
        }

        uint zones = BinaryPrimitives.ReadUInt32BigEndian(bytes[ZonesAt..]);
        uint size = BinaryPrimitives.ReadUInt32BigEndian(bytes[ExtensionBytesAt..]);
        uint extensions = BinaryPrimitives.ReadUInt32BigEndian(bytes[ExtensionsAt..]);
        problem = BinaryPrimitives.ReadUInt64BigEndian(bytes) != Magic ? "it has no magic"
            : BinaryPrimitives.ReadUInt32BigEndian(bytes[VersionAt..]) != Version ? "its version is not known"
            : BinaryPrimitives.ReadInt64BigEndian(bytes[SizeAt..]) != zoneSize ? "its zones have another size"
            : zones is 0 or > Qcow2Limits.MaxZones || extensions > zones || size > 4096 ? "a number is beyond its limit"
            : bytes.Length != PointersAt + (9L * zones) + (extensions * (sizeof(uint) + (long)size)) ? "it has another length"
            : null;
        return problem is null ? Read(bytes, (int)zones, (int)extensions, (int)size, zoneSize, out problem) : null;
    }

    /// <summary>The record's bytes.</summary>
    public byte[] ToBytes()
    {
        int zones = Pointers.Length, at = PointersAt + (9 * zones);
        var bytes = new byte[at + (Extensions.Count * (sizeof(uint) + (long)ExtensionBytes))];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(VersionAt), Version);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(ZonesAt), zones);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(SizeAt), ZoneSize);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(ExtensionBytesAt), ExtensionBytes);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(ExtensionsAt), Extensions.Count);
        for (int zone = 0; zone < zones; zone++)
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(PointersAt + (8 * zone)), Pointers[zone]);
            bytes[PointersAt + (8 * zones) + zone] = (byte)Conditions[zone];
        }

        foreach (var (zone, data) in Extensions)
        {
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(at), zone);
            data.CopyTo(bytes, at + sizeof(uint));
            at += sizeof(uint) + ExtensionBytes;
        }

        return bytes;
    }

    private static ZoneRecord? Read(ReadOnlySpan<byte> bytes, int zones, int extensions, int size, long zoneSize, out string? problem)
    {
        problem = null;
        var (pointers, conditions) = (new long[zones], new ZoneCondition[zones]);
        for (int zone = 0; zone < zones; zone++)
        {
            long pointer = BinaryPrimitives.ReadInt64BigEndian(bytes[(PointersAt + (8 * zone))..]);
            byte condition = bytes[PointersAt + (8 * zones) + zone];
            if (pointer < zone * zoneSize || pointer - (zone * zoneSize) > zoneSize || pointer % 512 != 0
                || condition is not (0 or (byte)ZoneCondition.ReadOnly or (byte)ZoneCondition.Offline))
            {
                problem = $"zone {zone} has write pointer {pointer} and condition {condition}";
                return null;
            }

            (pointers[zone], conditions[zone]) = (pointer, (ZoneCondition)condition);
        }

        var found = new List<(int Zone, byte[] Data)>(extensions);
        for (int i = 0, at = PointersAt + (9 * zones); i < extensions; i++, at += sizeof(uint) + size)
        {
            uint zone = BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);
            if (zone >= zones || (i > 0 && zone <= found[^1].Zone))
            {
                problem = $"an extension belongs to zone {zone}";
                return null;
            }

            found.Add(((int)zone, bytes.Slice(at + sizeof(uint), size).ToArray()));
        }

        return new ZoneRecord
        {
            ZoneSize = zoneSize, Pointers = pointers, Conditions = conditions, ExtensionBytes = size, Extensions = found,
        };
    }
}
