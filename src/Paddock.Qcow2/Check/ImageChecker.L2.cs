using System.Buffers.Binary;

namespace Paddock.Qcow2.Check;

/// <summary>Walking one L2 table.</summary>
internal sealed partial class ImageChecker
{
    private async ValueTask CountL2Async(long l2, bool active, bool fix)
    {
        var summary = new L2Summary();
        if (_walked.TryGetValue(l2, out var earlier))
        {
            summary.FurtherUses = earlier.FurtherUses;
        }

        _walked[l2] = summary;
        if (!await LoadL2Async(l2))
        {
            return;
        }

        long problems = _report.Corruptions + _report.CorruptionsFixed;
        for (int i = 0; i < image.L2Entries; i++)
        {
            ulong entry = L2Entry(i);
            ulong bitmap = image.HasExtendedL2 ? BinaryPrimitives.ReadUInt64BigEndian(_l2.AsSpan((i * 16) + 8)) : 0;
            if (entry == 0 && bitmap == 0)
            {
                continue;
            }

            if ((entry & Compressed) != 0)
            {
                CountCompressed(entry, bitmap, i, summary);
            }
            else if (CountStandard(entry, bitmap, summary, fix))
            {
                await ZeroL2EntryAsync(l2, i);
            }
        }

        summary.Broken = _report.Corruptions + _report.CorruptionsFixed != problems;
        if (active)
        {
            AddCounts(summary.Allocated, summary.Fragmented, summary.CompressedClusters);
        }
    }

    private void CountCompressed(ulong entry, ulong bitmap, int index, L2Summary summary)
    {
        var (offset, bytes) = Target(entry);
        if ((entry & Copied) != 0)
        {
            SayCorruption($"ERROR: coffset=0x{offset:x}: copied flag must never be set for compressed clusters");
        }

        if (image.HasDataFile)
        {
            SayCorruption($"ERROR compressed cluster {index} with data file, entry=0x{entry:x}");
            return;
        }

        if (bitmap != 0)
        {
            SayCorruption($"ERROR compressed cluster {index} with non-zero subcluster allocation bitmap, entry=0x{entry:x}");
            return;
        }

        Reference(offset, bytes);
        summary.Allocated++;
        summary.CompressedClusters++;

        // a compressed cluster is fragmented by nature
        summary.Fragmented++;
    }

    /// <returns>True when the entry is to be zeroed: its cluster holds nothing and its offset cannot be right.</returns>
    private bool CountStandard(ulong entry, ulong bitmap, L2Summary summary, bool fix)
    {
        if ((entry & L2Reserved) != 0)
        {
            SayCorruption($"ERROR found l2 entry with reserved bits set: {entry:x}");
        }

        long offset = (long)(entry & OffsetMask);
        if (offset == 0)
        {
            if ((bitmap & 0xffff_ffff) != 0)
            {
                SayCorruption($"ERROR: Unallocated cluster has non-zero subcluster allocation map");
            }

            return false;
        }

        if (((bitmap >> 32) & bitmap) != 0)
        {
            SayCorruption($"ERROR offset={offset:x}: Allocated cluster has corrupted subcluster allocation bitmap");
            return fix;
        }

        if ((offset & (image.ClusterSize - 1)) != 0)
        {
            bool holdsData = image.HasExtendedL2 ? (bitmap & 0xffff_ffff) != 0 : (entry & ZeroFlag) == 0;
            SayCorruption(holdsData
                ? $"ERROR offset={offset:x}: Data cluster is not properly aligned; L2 entry corrupted."
                : $"{(fix ? "Repairing" : "ERROR")} offset={offset:x}: Preallocated cluster is not properly aligned; L2 entry corrupted.");
            if (!holdsData && fix)
            {
                return true;
            }
        }

        summary.Allocated++;
        if (summary.NextContiguous != 0 && offset != summary.NextContiguous)
        {
            summary.Fragmented++;
        }

        summary.NextContiguous = offset + image.ClusterSize;
        if (!image.HasDataFile)
        {
            Reference(offset, image.ClusterSize);
        }

        return false;
    }

    private async ValueTask ZeroL2EntryAsync(long l2, int index)
    {
        var entry = _l2.AsMemory(index * image.L2EntrySize, image.L2EntrySize);
        entry.Span.Clear();
        if (image.HasExtendedL2)
        {
            BinaryPrimitives.WriteUInt64BigEndian(entry.Span[8..], 0xffff_ffff_0000_0000);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(entry.Span, ZeroFlag);
        }

        await _storage.WriteAsync(l2 + (index * image.L2EntrySize), entry, cancellationToken);
        _report.Corruptions--;
        _report.CorruptionsFixed++;
    }
}
