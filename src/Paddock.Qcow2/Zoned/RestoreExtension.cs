using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Header extension 0x50444b52, "PDKR": a snapshot is being applied, and zones get conditions and descriptor extensions from its zone
/// record (docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     l1_offset: where the L1 table of the restored disk lies
/// 8       8     record_offset: host offset of the zone record, cluster-aligned
/// 16      8     record_bytes: its length
/// 24      4     CRC-32C of the zone record
/// 28      4     CRC-32C of the 28 bytes before
/// </code>
/// </summary>
/// <param name="L1Offset">Where the L1 table of the restored disk lies.</param>
/// <param name="Record">Where the zone record lies.</param>
internal readonly record struct RestoreExtension(HostOffset L1Offset, SnapshotZones Record)
{
    public const uint Type = 0x50444b52;

    private const int RecordAt = 8, BytesAt = 16, RecordChecksumAt = 24, ChecksumAt = 28, Size = ChecksumAt + sizeof(uint);

    /// <summary>Reads the extension; null if it is invalid.</summary>
    public static RestoreExtension? Parse(ReadOnlySpan<byte> data, int clusterSize)
    {
        if (data.Length < Size || BinaryPrimitives.ReadUInt32BigEndian(data[ChecksumAt..]) != Crc32C.Of(data[..ChecksumAt]))
        {
            return null;
        }

        long offset = BinaryPrimitives.ReadInt64BigEndian(data[RecordAt..]), bytes = BinaryPrimitives.ReadInt64BigEndian(data[BytesAt..]);
        return offset > 0 && offset % clusterSize == 0 && bytes is > 0 and <= SnapshotZones.MaxRecordBytes
            ? new(
                new HostOffset(BinaryPrimitives.ReadInt64BigEndian(data)),
                new SnapshotZones(new HostOffset(offset), bytes, BinaryPrimitives.ReadUInt32BigEndian(data[RecordChecksumAt..])))
            : null;
    }

    public HeaderExtension ToHeader()
    {
        var data = new byte[Size];
        BinaryPrimitives.WriteInt64BigEndian(data, L1Offset.Value);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(RecordAt), Record.Offset.Value);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(BytesAt), Record.Bytes);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(RecordChecksumAt), Record.Checksum);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(ChecksumAt), Crc32C.Of(data.AsSpan(0, ChecksumAt)));
        return new HeaderExtension(Type, data);
    }
}
