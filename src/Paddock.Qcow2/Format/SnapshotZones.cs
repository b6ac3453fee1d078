using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// Where a snapshot of a zoned disk has its zones (docs/formats/paddock-extension.md): a part of the snapshot table entry's extra
/// data, after the fields that QEMU knows, big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     magic: "PDCK"
/// 4       2     version: 1
/// 6       2     length of this part: 32
/// 8       8     record_offset: host offset of the zone record, cluster-aligned
/// 16      8     record_bytes: its length
/// 24      4     CRC-32C of the zone record
/// 28      4     CRC-32C of the 28 bytes before
/// </code>
/// </summary>
/// <param name="Offset">Where the zone record lies.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Checksum">Its CRC-32C.</param>
internal readonly record struct SnapshotZones(HostOffset Offset, long Bytes, uint Checksum)
{
    /// <summary>Bytes of the part.</summary>
    public const int Size = ChecksumAt + sizeof(uint);

    /// <summary>Longest zone record: 1,048,576 zones, and descriptor extensions for many of them.</summary>
    public const long MaxRecordBytes = 64 << 20;

    private const uint Magic = 0x5044434b;
    private const ushort Version = 1;
    private const int VersionAt = 4, LengthAt = 6, OffsetAt = 8, BytesAt = 16, RecordChecksumAt = 24, ChecksumAt = 28;

    /// <summary>The part in an entry's extra data; null without a sound one.</summary>
    /// <param name="extra">All of the extra data.</param>
    /// <param name="clusterSize">Of the image.</param>
    public static SnapshotZones? Find(ReadOnlySpan<byte> extra, int clusterSize)
    {
        if (extra.Length < SnapshotEntry.KnownExtraBytes + Size)
        {
            return null;
        }

        var part = extra.Slice(SnapshotEntry.KnownExtraBytes, Size);
        long offset = BinaryPrimitives.ReadInt64BigEndian(part[OffsetAt..]), bytes = BinaryPrimitives.ReadInt64BigEndian(part[BytesAt..]);
        return BinaryPrimitives.ReadUInt32BigEndian(part) == Magic
            && BinaryPrimitives.ReadUInt16BigEndian(part[VersionAt..]) == Version
            && BinaryPrimitives.ReadUInt16BigEndian(part[LengthAt..]) == Size
            && BinaryPrimitives.ReadUInt32BigEndian(part[ChecksumAt..]) == Crc32C.Of(part[..ChecksumAt])
            && offset > 0 && offset % clusterSize == 0 && bytes is > 0 and <= MaxRecordBytes
            ? new(new HostOffset(offset), bytes, BinaryPrimitives.ReadUInt32BigEndian(part[RecordChecksumAt..]))
            : null;
    }

    /// <summary>Writes the part.</summary>
    public void WriteTo(Span<byte> part)
    {
        BinaryPrimitives.WriteUInt32BigEndian(part, Magic);
        BinaryPrimitives.WriteUInt16BigEndian(part[VersionAt..], Version);
        BinaryPrimitives.WriteUInt16BigEndian(part[LengthAt..], Size);
        BinaryPrimitives.WriteInt64BigEndian(part[OffsetAt..], Offset.Value);
        BinaryPrimitives.WriteInt64BigEndian(part[BytesAt..], Bytes);
        BinaryPrimitives.WriteUInt32BigEndian(part[RecordChecksumAt..], Checksum);
        BinaryPrimitives.WriteUInt32BigEndian(part[ChecksumAt..], Crc32C.Of(part[..ChecksumAt]));
    }
}
