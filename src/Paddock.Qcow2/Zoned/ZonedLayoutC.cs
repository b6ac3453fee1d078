using System.Buffers.Binary;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zoned header extension in layout C, the newest (zoned-qcow2.md 1.2), big-endian; it has no append limit:
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
    private const int ModelAt = 0;
    private const int CountAt = 4;
    private const int ZoneSizeAt = CountAt + sizeof(uint);
    private const int CapacityAt = ZoneSizeAt + sizeof(ulong);
    private const int TableOffsetAt = CapacityAt + sizeof(ulong);
    private const int ConventionalAt = TableOffsetAt + sizeof(ulong);
    private const int MaxActiveAt = ConventionalAt + sizeof(uint);
    private const int MaxOpenAt = MaxActiveAt + sizeof(uint);

    public const int Size = MaxOpenAt + sizeof(uint);

    public static ZonedParameters Parse(ReadOnlySpan<byte> data) => new()
    {
        Layout = ZoneLayout.C,
        Model = data[ModelAt],
        ZoneCount = BinaryPrimitives.ReadUInt32BigEndian(data[CountAt..]),
        ZoneSize = BinaryPrimitives.ReadUInt64BigEndian(data[ZoneSizeAt..]),
        ZoneCapacity = BinaryPrimitives.ReadUInt64BigEndian(data[CapacityAt..]),
        TableOffset = BinaryPrimitives.ReadUInt64BigEndian(data[TableOffsetAt..]),
        ConventionalZones = BinaryPrimitives.ReadUInt32BigEndian(data[ConventionalAt..]),
        MaxActiveZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxActiveAt..]),
        MaxOpenZones = BinaryPrimitives.ReadUInt32BigEndian(data[MaxOpenAt..]),
    };

    /// <summary>A limit that the sequential zones together cannot pass is stored as 0, as this layout requires.</summary>
    public static void Write(ZonedParameters zoned, Span<byte> data)
    {
        uint sequential = zoned.ZoneCount - zoned.ConventionalZones;
        data[ModelAt] = zoned.Model;
        BinaryPrimitives.WriteUInt32BigEndian(data[CountAt..], zoned.ZoneCount);
        BinaryPrimitives.WriteUInt64BigEndian(data[ZoneSizeAt..], zoned.ZoneSize);
        BinaryPrimitives.WriteUInt64BigEndian(data[CapacityAt..], zoned.ZoneCapacity);
        BinaryPrimitives.WriteUInt64BigEndian(data[TableOffsetAt..], zoned.TableOffset);
        BinaryPrimitives.WriteUInt32BigEndian(data[ConventionalAt..], zoned.ConventionalZones);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxActiveAt..], zoned.MaxActiveZones < sequential ? zoned.MaxActiveZones : 0);
        BinaryPrimitives.WriteUInt32BigEndian(data[MaxOpenAt..], zoned.MaxOpenZones < sequential ? zoned.MaxOpenZones : 0);
    }
}
