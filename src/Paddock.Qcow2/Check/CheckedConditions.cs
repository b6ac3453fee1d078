using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Paddock's own extension, parsed by the checker itself: where its tables lie (docs/formats/paddock-extension.md).</summary>
internal static class CheckedConditions
{
    public const uint ExtensionType = 0x5044434b;

    /// <summary>The fields of the extension that name the condition table: a repair clears them to remove the table.</summary>
    public const int ConditionsAt = 4, ConditionsBytes = 12;

    /// <summary>The fields that name the directory.</summary>
    public const int DirectoryAt = 20, DirectoryBytes = 12;

    private const int ShortBytes = 16, FullBytes = 32, AreaBytes = 48;
    private const int TableHead = 16;
    private const int SlotHead = 16;

    /// <summary>True when every table that the extension may name is known: a cluster without references is really leaked.</summary>
    public static bool IsKnown(byte[] data, int clusterSize)
        => data.Length is ShortBytes or FullBytes or AreaBytes && U32(data, 0) == 1 && U32(data, 4) <= CheckedZones.MaxZones
            && (DirectoryOffsetOf(data).Value == 0
                || (U32(data, 20) <= CheckedZones.MaxZones && ExtensionBytes(data) is > 0 and <= 448 && ExtensionBytes(data) % 64 == 0
                    && SlotBytes(data) * 2 <= clusterSize));

    public static HostOffset OffsetOf(byte[] data) => new(BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(8)));

    /// <summary>Bytes of the condition table.</summary>
    public static long BytesOf(byte[] data) => TableHead + (long)U32(data, 4);

    public static HostOffset DirectoryOffsetOf(byte[] data)
        => new(data.Length < FullBytes ? 0 : BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(24)));

    /// <summary>Bytes of the directory.</summary>
    public static long DirectoryBytesOf(byte[] data) => TableHead + (8L * U32(data, 20));

    /// <summary>Size of a slot: the smallest power of two that holds a head of 16 bytes and an extension.</summary>
    public static int SlotBytes(byte[] data)
    {
        int size = 64;
        while (size < SlotHead + ExtensionBytes(data))
        {
            size *= 2;
        }

        return size;
    }

    /// <summary>What is wrong with a condition table; null if it is sound.</summary>
    public static string? ConditionProblem(ReadOnlySpan<byte> table)
        => !table[..8].SequenceEqual("PDKZCOND"u8) ? "has no magic"
            : BinaryPrimitives.ReadUInt32BigEndian(table[8..]) != table.Length - TableHead
                ? "has another number of zones than the header says"
            : BinaryPrimitives.ReadUInt32BigEndian(table[12..]) != Crc32C.Of(table[TableHead..]) ? "has a wrong checksum"
            : null;

    /// <summary>What is wrong with a directory; null if it is sound.</summary>
    public static string? DirectoryProblem(ReadOnlySpan<byte> directory)
        => !directory[..8].SequenceEqual("PDKZXDIR"u8) ? "has no magic"
            : BinaryPrimitives.ReadUInt32BigEndian(directory[8..]) != (directory.Length - TableHead) / 8
                ? "has another number of entries than the header says"
            : null;

    /// <summary>An entry of a directory, and its position in the directory.</summary>
    public static (HostOffset Offset, int At) Entry(ReadOnlySpan<byte> directory, int index)
        => (new HostOffset(BinaryPrimitives.ReadInt64BigEndian(directory[(TableHead + (index * 8))..])), TableHead + (index * 8));

    public static int Entries(ReadOnlySpan<byte> directory) => (directory.Length - TableHead) / 8;

    /// <summary>True when a cluster begins with the head that belongs to this entry.</summary>
    public static bool IsHead(ReadOnlySpan<byte> cluster, int index)
        => cluster[..8].SequenceEqual("PDKZEXTN"u8) && BinaryPrimitives.ReadInt32BigEndian(cluster[8..]) == index
            && BinaryPrimitives.ReadUInt32BigEndian(cluster[12..]) == Crc32C.Of(cluster[..12]);

    /// <summary>True when a slot is empty, or says something sound of its zone: an extension, a random write area, or both.</summary>
    public static bool IsSlot(ReadOnlySpan<byte> slot, long zone)
        => slot[8] + slot[9] == 0
            || (slot[8] <= 2 && slot[9] <= 2 && (slot[8] == slot[9] || slot[8] == 0 || slot[9] == 0)
                && BinaryPrimitives.ReadUInt32BigEndian(slot[4..]) == zone
                && BinaryPrimitives.ReadUInt32BigEndian(slot) == Crc32C.Of(slot[4..]));

    private static int ExtensionBytes(byte[] data) => (int)Math.Min(U32(data, 16), int.MaxValue / 4);

    private static uint U32(byte[] data, int at) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(at));
}
