using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Where a snapshot has its zones, parsed by the checker itself (docs/formats/paddock-extension.md).</summary>
internal readonly record struct CheckedSnapshotZones(HostOffset Offset, long Bytes, uint Checksum)
{
    private const int At = 24, PartBytes = 32;
    private const long MaxBytes = 64 << 20;

    /// <summary>Whether extra data have a part of Paddock's, of any version.</summary>
    public static bool IsIn(ReadOnlySpan<byte> extra) => extra.Length >= At + 4 && extra.Slice(At, 4).SequenceEqual("PDCK"u8);

    /// <summary>The place in extra data; null if there is no part that is sound and known.</summary>
    public static CheckedSnapshotZones? Find(ReadOnlySpan<byte> extra, int clusterSize)
    {
        if (!IsIn(extra) || extra.Length < At + PartBytes)
        {
            return null;
        }

        var part = extra.Slice(At, PartBytes);
        long offset = BinaryPrimitives.ReadInt64BigEndian(part[8..]), bytes = BinaryPrimitives.ReadInt64BigEndian(part[16..]);
        return part.Slice(4, 4).SequenceEqual((ReadOnlySpan<byte>)[0, 1, 0, PartBytes])
            && BinaryPrimitives.ReadUInt32BigEndian(part[28..]) == Crc32C.Of(part[..28])
            && offset > 0 && offset % clusterSize == 0 && bytes is > 0 and <= MaxBytes
            ? new(new HostOffset(offset), bytes, BinaryPrimitives.ReadUInt32BigEndian(part[24..]))
            : null;
    }

    /// <summary>What is wrong with a record; null if it is sound.</summary>
    public string? Problem(ReadOnlySpan<byte> record)
        => Crc32C.Of(record) != Checksum ? "has a wrong checksum"
            : record.Length < 32 || !record[..8].SequenceEqual("PDKZSNAP"u8) ? "has no magic"
            : record.Length != 32 + (9L * U32(record, 12)) + (U32(record, 28) * (4L + U32(record, 24))) ? "has a wrong length"
            : null;

    private static uint U32(ReadOnlySpan<byte> record, int at) => BinaryPrimitives.ReadUInt32BigEndian(record[at..]);
}
