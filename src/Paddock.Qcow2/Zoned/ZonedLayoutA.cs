using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout A (spec 1.2), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       1     zoned: 1 host-managed, 0 not zoned
/// 1       3     reserved
/// 4       4     zone_size
/// 8       4     zone_capacity
/// 12      4     conventional_zones
/// 16      4     nr_zones
/// 20      4     max_active_zones
/// 24      4     max_open_zones
/// 28      4     max_append_bytes
/// 32      8     zonedmeta_size
/// 40      8     zonedmeta_offset
/// </code>
/// </summary>
internal static class ZonedLayoutA
{
    public const int Size = 48;

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.A,
        Model = data[0],
        ZoneSize = BinaryPrimitives.ReadUInt32BigEndian(data[4..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt32BigEndian(data[8..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[12..]),
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[16..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[20..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[24..]),
        MaxAppendBytes = BinaryPrimitives.ReadUInt32BigEndian(data[28..]),
        TableBytes = BinaryPrimitives.ReadUInt64BigEndian(data[32..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[40..]),
    };

    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        data[0] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[4..], (uint)zoned.ZoneSize);
        BinaryPrimitives.WriteUInt32BigEndian(data[8..], (uint)zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt32BigEndian(data[12..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[16..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt32BigEndian(data[20..], zoned.MaxActiveZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[24..], zoned.MaxOpenZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[28..], zoned.MaxAppendBytes);
        BinaryPrimitives.WriteUInt64BigEndian(data[32..], 8UL * zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[40..], zoned.TableOffset);
    }
}
