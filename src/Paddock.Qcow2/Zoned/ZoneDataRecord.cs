using System.Buffers.Binary;
using System.Security.Cryptography;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The last data of one zone, behind the zone table (docs/formats/paddock-extension.md). They count while the zone's pointer is their end:
/// what their clusters hold does not matter.
/// <code>
/// offset  size  field
/// 0       8     magic, "PDKZDATA"
/// 8       4     version, 1
/// 12      4     zone
/// 16      8     where the data start on the disk
/// 24      8     where they end: the pointer in the zone table
/// 32      32    SHA-256 of bytes 0 to 31, of the table's offset (8 bytes), and of the data
/// 64            the data, and zeroes up to a multiple of 512
/// </code>
/// </summary>
/// <param name="Zone">The zone.</param>
/// <param name="Start">Where the data start on the disk.</param>
/// <param name="End">Where they end.</param>
internal readonly record struct ZoneDataRecord(int Zone, long Start, long End)
{
    /// <summary>Most bytes of data.</summary>
    public const int MaxData = 32 << 10;

    /// <summary>Bytes that a writer without a record has there.</summary>
    public const int EmptySize = 512;

    private const int HashAt = 32, HashSize = 32, DataAt = 64, Alignment = 512;
    private const uint Version = 1;

    private static ReadOnlySpan<byte> Magic => "PDKZDATA"u8;

    /// <summary>Bytes of the data.</summary>
    public int Length => (int)(End - Start);

    /// <summary>Where the record lies, counted from the zone table's start.</summary>
    /// <param name="tableBytes">Bytes of the table.</param>
    public static int PlaceFor(int tableBytes) => (tableBytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Most bytes of data for which the table's last cluster has room; 0 or less: none.</summary>
    /// <param name="tableBytes">Bytes of the table.</param>
    /// <param name="geometry">The image's.</param>
    public static int RoomFor(int tableBytes, ClusterGeometry geometry)
        => (int)Math.Min(MaxData, geometry.BytesIn(geometry.ClustersFor(tableBytes)) - PlaceFor(tableBytes) - Alignment);

    /// <summary>Bytes of a record with so many bytes of data.</summary>
    public static int SizeFor(int length) => PlaceFor(DataAt + length);

    /// <summary>Builds the record.</summary>
    /// <param name="table">Offset of the zone table.</param>
    /// <param name="data">The data.</param>
    public byte[] Build(HostOffset table, ReadOnlySpan<byte> data)
    {
        var record = new byte[SizeFor(data.Length)];
        Magic.CopyTo(record);
        BinaryPrimitives.WriteUInt32BigEndian(record.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32BigEndian(record.AsSpan(12), Zone);
        BinaryPrimitives.WriteInt64BigEndian(record.AsSpan(16), Start);
        BinaryPrimitives.WriteInt64BigEndian(record.AsSpan(24), End);
        data.CopyTo(record.AsSpan(DataAt));
        HashOf(record, table, data, record.AsSpan(HashAt, HashSize));
        return record;
    }

    /// <summary>Whether bytes behind the table begin like a record, valid or not.</summary>
    public static bool IsMarked(ReadOnlySpan<byte> record) => record.StartsWith(Magic);

    /// <summary>Reads a record, or returns null where no valid one is stored.</summary>
    /// <param name="record">What lies behind the table.</param>
    /// <param name="table">Offset of the zone table.</param>
    /// <param name="data">Its data.</param>
    public static ZoneDataRecord? Read(ReadOnlySpan<byte> record, HostOffset table, out ReadOnlySpan<byte> data)
    {
        data = default;
        if (record.Length < DataAt || !record.StartsWith(Magic) || BinaryPrimitives.ReadUInt32BigEndian(record[8..]) != Version)
        {
            return null;
        }

        long start = BinaryPrimitives.ReadInt64BigEndian(record[16..]), end = BinaryPrimitives.ReadInt64BigEndian(record[24..]);
        if (start < 0 || end <= start || end - start > Math.Min(MaxData, record.Length - DataAt))
        {
            return null;
        }

        data = record.Slice(DataAt, (int)(end - start));
        Span<byte> hash = stackalloc byte[HashSize];
        HashOf(record, table, data, hash);
        return hash.SequenceEqual(record.Slice(HashAt, HashSize))
            ? new ZoneDataRecord(BinaryPrimitives.ReadInt32BigEndian(record[12..]), start, end) : null;
    }

    private static void HashOf(ReadOnlySpan<byte> record, HostOffset table, ReadOnlySpan<byte> data, Span<byte> hash)
    {
        Span<byte> place = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(place, table.Value);
        using var sum = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sum.AppendData(record[..HashAt]);
        sum.AppendData(place);
        sum.AppendData(data);
        sum.GetHashAndReset(hash);
    }
}
