using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout B, the proposal's version 13 (spec 1.2), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       1     zoned
/// 1       3     reserved
/// 4       4     nr_zones
/// 8       8     zone_size
/// 16      8     zone_capacity
/// 24      4     conventional_zones
/// 28      4     max_active_zones
/// 32      4     max_open_zones
/// 36      4     max_append_bytes
/// 40      8     zonedmeta_offset
/// </code>
/// </summary>
internal static class ZonedLayoutB
{
    public const int Size = 48;

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.B,
        Model = data[0],
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[4..]),
        ZoneSize = BinaryPrimitives.ReadUInt64BigEndian(data[8..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt64BigEndian(data[16..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[24..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[28..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[32..]),
        MaxAppendBytes = BinaryPrimitives.ReadUInt32BigEndian(data[36..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[40..]),
    };

    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        data[0] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[4..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[8..], zoned.ZoneSize);
        BinaryPrimitives.WriteUInt64BigEndian(data[16..], zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt32BigEndian(data[24..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[28..], zoned.MaxActiveZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[32..], zoned.MaxOpenZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[36..], zoned.MaxAppendBytes);
        BinaryPrimitives.WriteUInt64BigEndian(data[40..], zoned.TableOffset);
    }
}
