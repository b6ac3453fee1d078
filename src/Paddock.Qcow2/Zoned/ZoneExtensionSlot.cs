using System.Buffers.Binary;
using System.Numerics;
using Paddock.Block;

namespace Paddock.Qcow2.Zoned;

/// <summary>Whether a zone has its extension, or its random write area, as its slot says.</summary>
internal enum ZoneSlotState : byte
{
    /// <summary>There is none.</summary>
    None = 0,

    /// <summary>There is one, whatever the write pointer.</summary>
    Fresh = 1,

    /// <summary>There is one as long as the write pointer is above the start of the zone: a reset removes both in one write.</summary>
    Written = 2,
}

/// <summary>What a slot says of its zone.</summary>
/// <param name="Extension">Its descriptor extension.</param>
/// <param name="Area">Its random write area, which a zone that is FULL, READ ONLY or OFFLINE does not have, whatever the slot says.</param>
internal readonly record struct ZoneSlot(ZoneSlotState Extension, ZoneSlotState Area)
{
    /// <summary>Whether the slot says nothing.</summary>
    public bool IsNone => Extension == ZoneSlotState.None && Area == ZoneSlotState.None;

    /// <summary>Whether it holds whatever the write pointer.</summary>
    public bool IsFresh => Extension == ZoneSlotState.Fresh || Area == ZoneSlotState.Fresh;

    /// <summary>The same, as long as the write pointer is above the start.</summary>
    public ZoneSlot AsWritten => new(Written(Extension), Written(Area));

    /// <summary>Whether both states can go together.</summary>
    public bool IsSound => Extension <= ZoneSlotState.Written && Area <= ZoneSlotState.Written
        && (Extension == Area || Extension == ZoneSlotState.None || Area == ZoneSlotState.None);

    private static ZoneSlotState Written(ZoneSlotState state) => state == ZoneSlotState.None ? state : ZoneSlotState.Written;
}

/// <summary>
/// A cluster of zone descriptor extensions (docs/formats/paddock-extension.md): slots of the least power of two that holds 16 bytes and an
/// extension, so that none crosses a sector. Big-endian. The first is the cluster's head:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     magic: "PDKZEXTN"
/// 8       4     index: its entry in the directory
/// 12      4     CRC-32C of the 12 bytes before
/// </code>
/// each other one a zone's, in order:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     CRC-32C of the rest of the slot
/// 4       4     zone: its index
/// 8       1     state of the extension: 0 none, 1 fresh, 2 written
/// 9       1     state of the random write area: the same; if both are 0, nothing else is looked at
/// 10      6     zero
/// 16      n     the extension
/// </code>
/// </summary>
internal static class ZoneExtensionSlot
{
    /// <summary>Extensions are multiples of this many bytes (ZNS command set, ZDES).</summary>
    public const int Unit = 64;

    public const int DataAt = 16;

    private const int MaxSlot = 512;
    private const ulong HeadMagic = 0x50444b5a4558544e;
    private const int HeadIndexAt = 8;
    private const int HeadChecksumAt = 12;
    private const int ZoneAt = 4;
    private const int StateAt = 8;
    private const int AreaAt = 9;

    /// <summary>Bytes of a slot for extensions of this size.</summary>
    public static int SizeFor(int extensionBytes) => (int)BitOperations.RoundUpToPowerOf2((uint)(DataAt + extensionBytes));

    /// <summary>Zones whose extensions a cluster holds.</summary>
    public static int ZonesPerCluster(int extensionBytes, int clusterSize) => (clusterSize / SizeFor(extensionBytes)) - 1;

    /// <summary>The longest extension: its slot is within a sector, and half of a cluster, which holds a head too.</summary>
    public static int MaxBytes(int clusterSize) => (Math.Min(MaxSlot, clusterSize / 2) - DataAt) / Unit * Unit;

    /// <summary>Whether extensions can have this size.</summary>
    public static bool IsSize(uint bytes, int clusterSize) => bytes != 0 && bytes % Unit == 0 && bytes <= MaxBytes(clusterSize);

    public static void WriteHead(Span<byte> slot, int index)
    {
        BinaryPrimitives.WriteUInt64BigEndian(slot, HeadMagic);
        BinaryPrimitives.WriteInt32BigEndian(slot[HeadIndexAt..], index);
        BinaryPrimitives.WriteUInt32BigEndian(slot[HeadChecksumAt..], Crc32C.Of(slot[..HeadChecksumAt]));
    }

    public static bool IsHead(ReadOnlySpan<byte> slot, int index)
        => BinaryPrimitives.ReadUInt64BigEndian(slot) == HeadMagic
            && BinaryPrimitives.ReadInt32BigEndian(slot[HeadIndexAt..]) == index
            && BinaryPrimitives.ReadUInt32BigEndian(slot[HeadChecksumAt..]) == Crc32C.Of(slot[..HeadChecksumAt]);

    /// <summary>Fills a slot whose bytes are zero.</summary>
    public static void Write(Span<byte> slot, int zone, ZoneSlot state, ReadOnlySpan<byte> data)
    {
        BinaryPrimitives.WriteInt32BigEndian(slot[ZoneAt..], zone);
        slot[StateAt] = (byte)state.Extension;
        slot[AreaAt] = (byte)state.Area;
        data.CopyTo(slot[DataAt..]);
        BinaryPrimitives.WriteUInt32BigEndian(slot, Crc32C.Of(slot[ZoneAt..]));
    }

    /// <summary>Reads a slot; null when it is neither empty nor a sound one of its zone.</summary>
    public static ZoneSlot? Read(ReadOnlySpan<byte> slot, int zone)
    {
        var state = new ZoneSlot((ZoneSlotState)slot[StateAt], (ZoneSlotState)slot[AreaAt]);
        bool sound = state.IsNone
            || (state.IsSound
                && BinaryPrimitives.ReadInt32BigEndian(slot[ZoneAt..]) == zone
                && BinaryPrimitives.ReadUInt32BigEndian(slot) == Crc32C.Of(slot[ZoneAt..]));
        return sound ? state : null;
    }
}
