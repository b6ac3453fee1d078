using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// One snapshot. Known extra data: bytes 0-7 VM state size, 8-15 virtual size, 16-23 instruction count; what follows is kept.
/// </summary>
internal sealed record SnapshotEntry
{
    /// <summary>Bytes of extra data that have a meaning.</summary>
    public const int KnownExtraBytes = 24;

    public required SnapshotHeader Header { get; init; }

    public required string Id { get; init; }

    public required string Name { get; init; }

    /// <summary>The extra data as stored in the image, unknown bytes too.</summary>
    public ReadOnlyMemory<byte> Extra { get; init; }

    public long VmStateSize => Extra.Length >= 8 ? Extra64(0) : Header.VmStateSize;

    /// <summary>Virtual size at the snapshot; null where the image does not say (the disk's own then).</summary>
    public long? DiskSize => Extra.Length >= 16 ? Extra64(8) : null;

    /// <summary>Instruction count; -1 where unknown.</summary>
    public long InstructionCount => Extra.Length >= 24 ? Extra64(16) : -1;

    /// <summary>The entry with all known extra data, which version 3 requires; bytes after them stay.</summary>
    /// <param name="diskSize">The disk's size now, for an entry that does not say its own.</param>
    public SnapshotEntry WithSizes(long diskSize) => With(DiskSize ?? diskSize, InstructionCount);

    /// <summary>The entry with a disk size and an instruction count.</summary>
    public SnapshotEntry With(long diskSize, long instructionCount)
    {
        var extra = new byte[Math.Max(KnownExtraBytes, Extra.Length)];
        Extra.CopyTo(extra);
        BinaryPrimitives.WriteInt64BigEndian(extra, VmStateSize);
        BinaryPrimitives.WriteInt64BigEndian(extra.AsSpan(8), diskSize);
        BinaryPrimitives.WriteInt64BigEndian(extra.AsSpan(16), instructionCount);
        uint stateSize = VmStateSize > uint.MaxValue ? 0 : (uint)VmStateSize;
        return this with { Extra = extra, Header = Header with { VmStateSize = stateSize, ExtraLength = (uint)extra.Length } };
    }

    /// <summary>The entry with the place of its zone record.</summary>
    public SnapshotEntry With(SnapshotZones zones)
    {
        var extra = new byte[KnownExtraBytes + SnapshotZones.Size];
        Extra.Span[..KnownExtraBytes].CopyTo(extra);
        zones.WriteTo(extra.AsSpan(KnownExtraBytes));
        return this with { Extra = extra, Header = Header with { ExtraLength = (uint)extra.Length } };
    }

    /// <summary>The entry as `info` lists it.</summary>
    /// <param name="diskSize">The disk's size now, for an entry that does not say its own.</param>
    public Qcow2SnapshotInfo ToInfo(long diskSize) => new(
        Id,
        Name,
        Header.DateSeconds,
        (int)Header.DateNanoseconds,
        (long)Header.VmClockNanoseconds,
        VmStateSize,
        DiskSize ?? diskSize,
        InstructionCount);

    private long Extra64(int at) => (long)BinaryPrimitives.ReadUInt64BigEndian(Extra.Span[at..]);
}

/// <summary>The snapshot table: entries of varying length one after the other, each starting at a multiple of 8.</summary>
internal static class SnapshotTable
{
    /// <summary>Reads a table.</summary>
    /// <param name="storage">The image.</param>
    /// <param name="header">The validated header.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="BlockException">An entry is beyond a limit.</exception>
    public static async ValueTask<List<SnapshotEntry>> ReadAsync(
        IStorage storage, Qcow2Header header, CancellationToken cancellationToken = default)
    {
        var entries = new List<SnapshotEntry>();
        var fixedPart = new byte[SnapshotHeader.Size];
        long at = (long)header.SnapshotTableOffset;
        for (uint i = 0; i < header.SnapshotCount; i++)
        {
            // as in QEMU, what is past the end of the file reads as zeroes: snapshots without tables or names
            if (at < storage.Length)
            {
                await storage.ReadAsync(at, fixedPart, cancellationToken);
            }
            else
            {
                fixedPart.AsSpan().Clear();
            }

            var head = SnapshotHeader.Parse(fixedPart);
            CheckEntry(header, head, i, at);
            var rest = new byte[head.EntrySize - SnapshotHeader.Size];
            await storage.ReadAsync(at + SnapshotHeader.Size, rest, cancellationToken);
            entries.Add(ParseRest(head, rest));
            at += head.EntrySize;
        }

        return entries;
    }

    /// <summary>Bytes that a table takes.</summary>
    public static long SizeOf(IEnumerable<SnapshotEntry> entries) => entries.Sum(e => WithLengths(e).EntrySize);

    /// <summary>The table's bytes; the lengths in the headers are recomputed.</summary>
    /// <exception cref="BlockException">The table is longer than an image may have.</exception>
    public static byte[] ToBytes(IReadOnlyList<SnapshotEntry> entries)
    {
        long size = SizeOf(entries);
        if (size > Qcow2Limits.MaxSnapshotTableBytes || entries.Count > Qcow2Limits.MaxSnapshots)
        {
            throw new BlockException(BlockError.TooLarge, "Snapshot table too large");
        }

        var bytes = new byte[size];
        int at = 0;
        foreach (var entry in entries)
        {
            var head = WithLengths(entry);
            var destination = bytes.AsSpan(at, (int)head.EntrySize);
            head.WriteTo(destination);
            entry.Extra.Span.CopyTo(destination[SnapshotHeader.Size..]);
            int text = SnapshotHeader.Size + entry.Extra.Length;
            ByteText.ToBytes(entry.Id).CopyTo(destination[text..]);
            ByteText.ToBytes(entry.Name).CopyTo(destination[(text + head.IdLength)..]);
            at += (int)head.EntrySize;
        }

        return bytes;
    }

    private static void CheckEntry(Qcow2Header header, SnapshotHeader head, uint index, long at)
    {
        if (head.ExtraLength > Qcow2Limits.MaxSnapshotExtraBytes)
        {
            throw new BlockException(
                BlockError.TooLarge,
                $"Too much extra metadata in snapshot table entry {index}\n"
                    + "You can force-remove this extra metadata with qemu-img check -r all");
        }

        if (at + head.EntrySize - (long)header.SnapshotTableOffset > Qcow2Limits.MaxSnapshotTableBytes)
        {
            throw new BlockException(
                BlockError.TooLarge,
                "Snapshot table is too big\n"
                    + $"You can force-remove all {header.SnapshotCount - index} overhanging snapshots with qemu-img check -r all");
        }
    }

    private static SnapshotEntry ParseRest(SnapshotHeader head, byte[] rest)
    {
        int extra = (int)head.ExtraLength;
        return new()
        {
            Header = head,
            Extra = rest.AsSpan(0, extra).ToArray(),
            Id = ByteText.FromBytes(rest.AsSpan(extra, head.IdLength)),
            Name = ByteText.FromBytes(rest.AsSpan(extra + head.IdLength, head.NameLength)),
        };
    }

    private static SnapshotHeader WithLengths(SnapshotEntry entry) => entry.Header with
    {
        IdLength = checked((ushort)ByteText.ToBytes(entry.Id).Length),
        NameLength = checked((ushort)ByteText.ToBytes(entry.Name).Length),
        ExtraLength = (uint)entry.Extra.Length,
    };
}
