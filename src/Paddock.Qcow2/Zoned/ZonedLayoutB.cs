using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout B, the proposal's version 13 (zoned-qcow2.md 1.2), big-endian:
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
    private const int ModelAt = 0;
    private const int CountAt = 4;
    private const int ZoneSizeAt = CountAt + sizeof(uint);
    private const int CapacityAt = ZoneSizeAt + sizeof(ulong);
    private const int ConventionalAt = CapacityAt + sizeof(ulong);
    private const int MaxActiveAt = ConventionalAt + sizeof(uint);
    private const int MaxOpenAt = MaxActiveAt + sizeof(uint);
    private const int MaxAppendAt = MaxOpenAt + sizeof(uint);
    private const int TableOffsetAt = MaxAppendAt + sizeof(uint);

    public const int Size = TableOffsetAt + sizeof(ulong);

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.B,
        Model = data[ModelAt],
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[CountAt..]),
        ZoneSize = BinaryPrimitives.ReadUInt64BigEndian(data[ZoneSizeAt..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt64BigEndian(data[CapacityAt..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[ConventionalAt..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxActiveAt..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxOpenAt..]),
        MaxAppendBytes = BinaryPrimitives.ReadUInt32BigEndian(data[MaxAppendAt..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[TableOffsetAt..]),
    };

    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        data[ModelAt] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[CountAt..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[ZoneSizeAt..], zoned.ZoneSize);
        BinaryPrimitives.WriteUInt64BigEndian(data[CapacityAt..], zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt32BigEndian(data[ConventionalAt..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxActiveAt..], zoned.MaxActiveZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxOpenAt..], zoned.MaxOpenZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxAppendAt..], zoned.MaxAppendBytes);
        BinaryPrimitives.WriteUInt64BigEndian(data[TableOffsetAt..], zoned.TableOffset);
    }
}
