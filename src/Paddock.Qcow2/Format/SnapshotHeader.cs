using System.Buffers.Binary;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The fixed part of a snapshot table entry, big-endian.
/// <code>
///  0-7    L1 table offset, cluster-aligned
///  8-11   L1 entries
/// 12-13   bytes of the ID
/// 14-15   bytes of the name
/// 16-19   date: seconds since 1970
/// 20-23   date: nanoseconds
/// 24-31   VM clock: nanoseconds
/// 32-35   bytes of VM state (the extra data has the full number)
/// 36-39   bytes of extra data
/// </code>
/// Then follow extra data, ID and name, and zeroes up to a multiple of 8.
/// </summary>
internal readonly record struct SnapshotHeader
{
    public const int Size = 40;

    public HostOffset L1TableOffset { get; init; }

    public uint L1Entries { get; init; }

    public ushort IdLength { get; init; }

    public ushort NameLength { get; init; }

    public uint DateSeconds { get; init; }

    public uint DateNanoseconds { get; init; }

    public ulong VmClockNanoseconds { get; init; }

    public uint VmStateSize { get; init; }

    public uint ExtraLength { get; init; }

    /// <summary>Bytes of the whole entry, padding included.</summary>
    public long EntrySize => (Size + (long)ExtraLength + IdLength + NameLength + 7) & ~7L;

    public static SnapshotHeader Parse(ReadOnlySpan<byte> source) => new()
    {
        L1TableOffset = new((long)BinaryPrimitives.ReadUInt64BigEndian(source)),
        L1Entries = BinaryPrimitives.ReadUInt32BigEndian(source[8..]),
        IdLength = BinaryPrimitives.ReadUInt16BigEndian(source[12..]),
        NameLength = BinaryPrimitives.ReadUInt16BigEndian(source[14..]),
        DateSeconds = BinaryPrimitives.ReadUInt32BigEndian(source[16..]),
        DateNanoseconds = BinaryPrimitives.ReadUInt32BigEndian(source[20..]),
        VmClockNanoseconds = BinaryPrimitives.ReadUInt64BigEndian(source[24..]),
        VmStateSize = BinaryPrimitives.ReadUInt32BigEndian(source[32..]),
        ExtraLength = BinaryPrimitives.ReadUInt32BigEndian(source[36..]),
    };

    public void WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, (ulong)L1TableOffset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], L1Entries);
        BinaryPrimitives.WriteUInt16BigEndian(destination[12..], IdLength);
        BinaryPrimitives.WriteUInt16BigEndian(destination[14..], NameLength);
        BinaryPrimitives.WriteUInt32BigEndian(destination[16..], DateSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(destination[20..], DateNanoseconds);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], VmClockNanoseconds);
        BinaryPrimitives.WriteUInt32BigEndian(destination[32..], VmStateSize);
        BinaryPrimitives.WriteUInt32BigEndian(destination[36..], ExtraLength);
    }
}
