using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout C, the newest (spec 1.2), big-endian; it has no append limit:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       1     zoned
/// 1       3     reserved
/// 4       4     nr_zones
/// 8       8     zone_size, a power of two
/// 16      8     zone_capacity
/// 24      8     zonedmeta_offset
/// 32      4     conventional_zones
/// 36      4     max_active_zones
/// 40      4     max_open_zones
/// </code>
/// </summary>
internal static class ZonedLayoutC
{
    public const int Size = 44;

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.C,
        Model = data[0],
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[4..]),
        ZoneSize = BinaryPrimitives.ReadUInt64BigEndian(data[8..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt64BigEndian(data[16..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[24..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[32..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[36..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[40..]),
    };

    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        data[0] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[4..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[8..], zoned.ZoneSize);
        BinaryPrimitives.WriteUInt64BigEndian(data[16..], zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt64BigEndian(data[24..], zoned.TableOffset);
        BinaryPrimitives.WriteUInt32BigEndian(data[32..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[36..], zoned.MaxActiveZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[40..], zoned.MaxOpenZones);
    }
}
