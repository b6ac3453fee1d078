using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>One snapshot table entry, as far as a check needs it.</summary>
/// <param name="Fixed">Its first 40 bytes.</param>
/// <param name="L1Offset">Offset of its L1 table in bytes.</param>
/// <param name="L1Entries">Entries of the L1 table.</param>
/// <param name="Id">Its ID.</param>
/// <param name="Name">Its name.</param>
/// <param name="Extra">Its extra data, as much as is kept.</param>
internal readonly record struct CheckedSnapshot(
    byte[] Fixed, HostOffset L1Offset, uint L1Entries, string Id, string Name, byte[] Extra);

/// <summary>
/// The snapshot table, read entry by entry. What is beyond QEMU's limits ends a check, or is dropped by a repair of everything.
/// </summary>
internal sealed class CheckedSnapshotTable
{
    private const uint MaxSnapshots = 65536, MaxExtraBytes = 1024;
    private const long MaxBytes = 64 << 20;
    private const int FixedBytes = 40, ExtraField = 36;
    private const ulong OffsetLimit = 1UL << 56;

    /// <summary>The entries that are kept.</summary>
    public List<CheckedSnapshot> Entries { get; } = [];

    /// <summary>Bytes that the table takes in the image, up to the last entry that is kept.</summary>
    public long Bytes { get; private set; }

    /// <summary>Entries that a repair drops: too many, or past the longest table.</summary>
    public long Dropped { get; private set; }

    /// <summary>Entries of which a repair drops extra data.</summary>
    public long Cut { get; private set; }

    /// <summary>Reads the table.</summary>
    /// <param name="storage">The image.</param>
    /// <param name="offset">Offset according to the header, in bytes.</param>
    /// <param name="count">Entries that the header says it has.</param>
    /// <param name="clusterSize">Of the image.</param>
    /// <param name="repairs">Whether entries beyond a limit are dropped.</param>
    /// <param name="print">Takes the lines of a repair.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="CheckEndedException">Something is beyond a limit.</exception>
    public static async ValueTask<CheckedSnapshotTable> ReadAsync(
        IStorage storage, ulong offset, uint count, int clusterSize, bool repairs, Action<string>? print,
        CancellationToken cancellationToken)
    {
        var table = new CheckedSnapshotTable();
        if (count > MaxSnapshots)
        {
            if (!repairs)
            {
                throw new CheckEndedException(
                    BlockError.TooLarge,
                    "ERROR snapshot table too large\n"
                        + $"You can force-remove all {count - MaxSnapshots} overhanging snapshots with qemu-img check -r all");
            }

            print?.Invoke($"Discarding {count - MaxSnapshots} overhanging snapshots");
            table.Dropped = count - MaxSnapshots;
            count = MaxSnapshots;
        }

        if (count > 0 && (offset >= OffsetLimit || offset % (ulong)clusterSize != 0))
        {
            throw new CheckEndedException(BlockError.InvalidArgument, "ERROR snapshot table offset invalid");
        }

        await table.ReadEntriesAsync(storage, (long)offset, count, repairs, print, cancellationToken);
        return table;
    }

    private async ValueTask ReadEntriesAsync(
        IStorage storage, long offset, uint count, bool repairs, Action<string>? print, CancellationToken cancellationToken)
    {
        const string Failed = "ERROR failed to read the snapshot table: ";
        long at = offset, kept = 0;
        for (uint i = 0; i < count; i++)
        {
            long entryAt = at = (at + 7) & ~7L;
            kept = (kept + 7) & ~7L;
            var head = new byte[FixedBytes];
            await storage.ReadAsync(at, head, cancellationToken);
            uint extra = BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(ExtraField));
            if (extra > MaxExtraBytes)
            {
                _ = repairs ? true : throw new CheckEndedException(
                    BlockError.TooLarge,
                    $"{Failed}Too much extra metadata in snapshot table entry {i}\n"
                        + "You can force-remove this extra metadata with qemu-img check -r all");
                print?.Invoke($"Discarding too much extra metadata in snapshot table entry {i} ({extra} > {MaxExtraBytes})");
                Cut++;
            }

            var kind = new byte[Math.Min(extra, MaxExtraBytes)];
            await storage.ReadAsync(at + FixedBytes, kind, cancellationToken);
            int idBytes = BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(12));
            var names = new byte[idBytes + BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(14))];
            await storage.ReadAsync(at + FixedBytes + extra, names, cancellationToken);
            at += FixedBytes + extra + names.Length;
            kept += FixedBytes + kind.Length + names.Length;
            if (kept > MaxBytes || at - offset > int.MaxValue)
            {
                _ = repairs ? true : throw new CheckEndedException(
                    BlockError.TooLarge,
                    $"{Failed}Snapshot table is too big\n"
                        + $"You can force-remove all {count - i} overhanging snapshots with qemu-img check -r all");
                print?.Invoke($"Discarding {count - i} overhanging snapshots (snapshot table is too big)");
                Dropped += count - i;
                at = entryAt;
                break;
            }

            Entries.Add(new CheckedSnapshot(
                head, new HostOffset(BinaryPrimitives.ReadInt64BigEndian(head)), BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(8)),
                ByteText.FromBytes(names.AsSpan(0, idBytes)), ByteText.FromBytes(names.AsSpan(idBytes)), kind));
        }

        Bytes = at - offset;
    }
}

/// <summary>The check cannot continue; the message is a finding.</summary>
internal sealed class CheckEndedException(BlockError error, string message) : BlockException(error, message);
