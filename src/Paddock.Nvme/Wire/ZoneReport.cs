using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Nvme.Wire;

/// <summary>Report of Zone Management Receive (ZNS command set 1.2, 3.4.2).</summary>
/// <remarks>
/// <code>
/// header, 64 bytes:  0 8 number of zones
/// descriptor, 64 bytes, then the zone's extension in an extended report:
/// 0  1  ZT in 3:0 (2: sequential write required)   8   8  ZCAP   blocks
/// 1  1  ZS in 7:4                                   16  8  ZSLBA
/// 2  1  ZA, bit 7: the extension is valid,          24  8  WP
///           bit 3: random write area
/// </code>
/// </remarks>
internal static class ZoneReport
{
    /// <summary>Bytes of the header.</summary>
    public const int HeaderSize = 64;

    /// <summary>Bytes of a zone without its extension.</summary>
    public const int DescriptorSize = 64;

    /// <summary>Greatest value of the zone selector field.</summary>
    public const byte LastSelector = 7;

    private static ReadOnlySpan<ZoneConditionSet> Selectors =>
    [
        ZoneConditionSet.All, ZoneConditionSet.Empty, ZoneConditionSet.ImplicitlyOpen, ZoneConditionSet.ExplicitlyOpen,
            ZoneConditionSet.Closed,
        ZoneConditionSet.Full, ZoneConditionSet.ReadOnly, ZoneConditionSet.Offline,
    ];

    private const byte SequentialWriteRequired = 2, ExtensionValid = 0x80, AreaValid = 0x08;

    /// <summary>Writes the header.</summary>
    public static void WriteHeader(Span<byte> to, ulong zones) => BinaryPrimitives.WriteUInt64LittleEndian(to, zones);

    /// <summary>The number of zones in a header.</summary>
    public static ulong ReadHeader(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt64LittleEndian(from);

    /// <summary>Writes a zone; the rest of the descriptor is zero already.</summary>
    public static void Write(Span<byte> to, in ZoneDescriptor zone, int blockShift, bool extended)
    {
        var f = new Fields(to);
        f.U8(0, SequentialWriteRequired);
        f.U8(1, (byte)((int)zone.Condition << 4));
        f.U8(2, (byte)((extended ? ExtensionValid : 0) | (zone.HasRandomArea ? AreaValid : 0)));
        f.U64(8, (ulong)(zone.Capacity >> blockShift));
        f.U64(16, (ulong)(zone.Start >> blockShift));
        f.U64(24, (ulong)(zone.WritePointer >> blockShift));
    }

    /// <summary>Reads a zone, as the host does.</summary>
    /// <param name="from">The descriptor.</param>
    /// <param name="blockShift">Logarithm of the block's size.</param>
    /// <param name="zoneSize">Bytes of a zone.</param>
    /// <param name="deviceLength">Bytes of the namespace: the last zone may be smaller.</param>
    public static ZoneDescriptor Read(ReadOnlySpan<byte> from, int blockShift, long zoneSize, long deviceLength)
    {
        long start = BinaryPrimitives.ReadInt64LittleEndian(from[16..]) << blockShift;
        long capacity = BinaryPrimitives.ReadInt64LittleEndian(from[8..]) << blockShift;
        long pointer = BinaryPrimitives.ReadInt64LittleEndian(from[24..]) << blockShift;
        long length = Math.Min(zoneSize, deviceLength - start);
        var condition = (ZoneCondition)(from[1] >> 4);
        // the pointer of a full zone is undefined
        return new ZoneDescriptor(
            start, length, capacity, condition == ZoneCondition.Full ? start + length
            : pointer, condition, ZoneType.SequentialWriteRequired)
        {
            HasRandomArea = (from[2] & AreaValid) != 0,
        };
    }

    /// <summary>The zones that a report lists: 0 all, 1 empty, 2 and 3 open, 4 closed, 5 full, 6 read only, 7 offline.</summary>
    public static ZoneConditionSet Selected(byte selector) => Selectors[selector];

    /// <summary>The selector of a set of zones; negative if no selector means that set.</summary>
    public static int SelectorOf(ZoneConditionSet zones) => Selectors.IndexOf(zones);
}
