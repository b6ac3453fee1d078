using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts persistent bitmaps: directory, tables and data clusters. Their contents are not checked.</summary>
internal sealed class BitmapsPass(CheckContext context) : ICheckPass
{
    private const uint ExtensionType = 0x23852875;

    /// <summary>The autoclear bit without which the extension is stale, and what it names is free.</summary>
    private const ulong AutoclearBit = 1;

    /// <summary>Most bytes of bitmap tables of one image; each byte of table stands for some GiB of disk.</summary>
    private const long MaxTableBytes = 256 << 20;

    private const long MaxDirectoryBytes = 64 << 20;
    private const int EntryHead = 24;
    private const int PieceBytes = 1 << 16;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if ((context.Image.Autoclear & AutoclearBit) == 0
            || !context.Image.Extensions.TryGetValue(ExtensionType, out var extension) || extension.Length < 24)
        {
            return;
        }

        uint count = BinaryPrimitives.ReadUInt32BigEndian(extension);
        ulong bytes = BinaryPrimitives.ReadUInt64BigEndian(extension.AsSpan(8));
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(extension.AsSpan(16));
        if (count == 0)
        {
            return;
        }

        if (bytes > MaxDirectoryBytes || offset > (ulong)context.FileLength)
        {
            context.ReportCorruption($"ERROR bitmap directory at 0x{offset:x} of 0x{bytes:x} bytes lies outside the image");
            return;
        }

        context.Count(new HostOffset((long)offset), (long)bytes);
        var directory = new byte[bytes];
        await context.Storage.ReadAsync((long)offset, directory, cancellationToken);
        await CountEntriesAsync(directory, count, cancellationToken);
    }

    private async ValueTask CountEntriesAsync(byte[] directory, uint count, CancellationToken cancellationToken)
    {
        long budget = MaxTableBytes;
        int at = 0;
        for (uint i = 0; i < count; i++)
        {
            if (at + EntryHead > directory.Length)
            {
                context.ReportCorruption($"ERROR bitmap directory ends before entry {i} of {count}");
                return;
            }

            var table = new HostOffset(BinaryPrimitives.ReadInt64BigEndian(directory.AsSpan(at)));
            long tableBytes = BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(at + 8)) * 8L;
            int name = BinaryPrimitives.ReadUInt16BigEndian(directory.AsSpan(at + 18));
            long extra = BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(at + 20));
            at = (int)Math.Min(int.MaxValue - 64, (at + EntryHead + extra + name + 7) & ~7L);
            budget -= tableBytes;
            if (budget < 0)
            {
                context.ReportCorruption($"ERROR bitmap {i}: bitmap tables take more than 0x{MaxTableBytes:x} bytes");
                return;
            }

            await CountTableAsync(table, tableBytes, cancellationToken);
        }
    }

    private async ValueTask CountTableAsync(HostOffset offset, long bytes, CancellationToken cancellationToken)
    {
        context.Count(offset, bytes);
        if (offset.Value < 0 || offset.Value >= context.FileLength)
        {
            return;
        }

        // entries behind the end of the file are zero
        long end = offset.Value + Math.Min(bytes, (context.FileLength - offset.Value + 7) & ~7L);
        var piece = new byte[Math.Min(PieceBytes, end - offset.Value)];
        for (long at = offset.Value; at < end; at += piece.Length)
        {
            var part = piece.AsMemory(0, (int)Math.Min(piece.Length, end - at));
            await context.Storage.ReadAsync(at, part, cancellationToken);
            CountClusters(part.Span);
        }
    }

    private void CountClusters(ReadOnlySpan<byte> table)
    {
        for (int i = 0; i < table.Length; i += 8)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table[i..]);
            var cluster = EntryBits.OffsetOf(entry);
            if ((entry & 0xff00_0000_0000_01fe) != 0 || (cluster.Value != 0 && (entry & 1) != 0) || !context.Image.IsAligned(cluster))
            {
                // without a line, as in QEMU
                context.Report.Corruptions++;
            }
            else if (cluster.Value != 0)
            {
                context.Count(cluster, context.Image.ClusterSize);
            }
        }
    }
}
