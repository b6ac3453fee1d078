using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout A (zoned-qcow2.md 1.2), big-endian:
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
    private const int ModelAt = 0;
    private const int ZoneSizeAt = 4;
    private const int CapacityAt = ZoneSizeAt + sizeof(uint);
    private const int ConventionalAt = CapacityAt + sizeof(uint);
    private const int CountAt = ConventionalAt + sizeof(uint);
    private const int MaxActiveAt = CountAt + sizeof(uint);
    private const int MaxOpenAt = MaxActiveAt + sizeof(uint);
    private const int MaxAppendAt = MaxOpenAt + sizeof(uint);
    private const int TableBytesAt = MaxAppendAt + sizeof(uint);
    private const int TableOffsetAt = TableBytesAt + sizeof(ulong);

    public const int Size = TableOffsetAt + sizeof(ulong);

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.A,
        Model = data[ModelAt],
        ZoneSize = BinaryPrimitives.ReadUInt32BigEndian(data[ZoneSizeAt..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt32BigEndian(data[CapacityAt..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[ConventionalAt..]),
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[CountAt..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxActiveAt..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxOpenAt..]),
        MaxAppendBytes = BinaryPrimitives.ReadUInt32BigEndian(data[MaxAppendAt..]),
        TableBytes = BinaryPrimitives.ReadUInt64BigEndian(data[TableBytesAt..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[TableOffsetAt..]),
    };

    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        data[ModelAt] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[ZoneSizeAt..], (uint)zoned.ZoneSize);
        BinaryPrimitives.WriteUInt32BigEndian(data[CapacityAt..], (uint)zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt32BigEndian(data[ConventionalAt..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[CountAt..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxActiveAt..], zoned.MaxActiveZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxOpenAt..], zoned.MaxOpenZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxAppendAt..], zoned.MaxAppendBytes);
        BinaryPrimitives.WriteUInt64BigEndian(data[TableBytesAt..], 8UL * zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[TableOffsetAt..], zoned.TableOffset);
    }
}
