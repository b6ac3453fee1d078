using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Counts what L1 and L2 tables refer to; each sound L2 table is walked once, however many tables share it.</summary>
internal sealed class TableWalk(CheckContext context)
{
    /// <summary>How often broken L2 tables are walked again for a further use, to print their lines as often as QEMU does.</summary>
    private const int MaxBrokenWalks = 1024;

    private readonly CheckedImage _image = context.Image;
    private readonly CheckedTables _tables = context.Tables;
    private readonly Dictionary<HostOffset, L2Summary> _walked = [];
    private int _brokenWalks;

    /// <summary>Forgets the tables walked so far.</summary>
    public void Clear() => _walked.Clear();

    /// <summary>Counts an L1 table and what it refers to. Only the active one reports progress and counts allocated clusters.</summary>
    public async ValueTask CountL1Async(HostOffset offset, uint entries, bool active, CancellationToken cancellationToken)
    {
        context.Count(offset, entries * 8L);
        var table = await _tables.ReadL1Async(offset, entries, cancellationToken);
        for (int i = 0; i < entries; i++)
        {
            ulong entry = CheckedTables.Entry(table, i);
            if (entry == 0)
            {
                continue;
            }

            cancellationToken.ThrowIfCancellationRequested();
            if ((entry & EntryBits.L1Reserved) != 0)
            {
                context.ReportCorruption($"ERROR found L1 entry with reserved bits set: {entry:x}");
            }

            var l2 = EntryBits.OffsetOf(entry);
            if (!TryReuse(l2, active))
            {
                context.Count(l2, _image.ClusterSize);
                if (!_image.IsAligned(l2))
                {
                    context.ReportCorruption($"ERROR l2_offset={l2.Value:x}: Table is not cluster aligned; L1 entry corrupted");
                }

                await CountL2Async(l2, (long)i * _image.L2Entries, active, cancellationToken);
            }

            if (active)
            {
                context.ReportProgress(0.05 + (0.6 * (i + 1) / entries));
            }
        }
    }

    /// <summary>Counts the further uses of L2 tables that several L1 entries share, and of their clusters.</summary>
    public async ValueTask CountSharedAsync(CancellationToken cancellationToken)
    {
        foreach (var (l2, summary) in _walked)
        {
            if (summary.FurtherUses == 0)
            {
                continue;
            }

            context.Count(l2, _image.ClusterSize, summary.FurtherUses);
            if (summary.Allocated == 0 || !await _tables.LoadL2Async(l2, cancellationToken))
            {
                continue;
            }

            for (int i = 0; i < _image.L2Entries; i++)
            {
                ulong entry = _tables.L2Entry(i);
                var (offset, bytes) = _tables.Target(entry);
                if (offset.Value != 0 && !(_image.HasDataFile && (entry & EntryBits.Compressed) == 0))
                {
                    context.Count(offset, bytes, summary.FurtherUses);
                }
            }
        }
    }

    /// <summary>
    /// A table that was sound when it was walked need not be walked for each snapshot that shares it: its clusters are counted once more
    /// at the end, by the number of its uses. Without this, 4 million L1 entries on one table would take days.
    /// </summary>
    private bool TryReuse(HostOffset l2, bool active)
    {
        if (!_walked.TryGetValue(l2, out var summary) || (summary.Broken && _brokenWalks++ < MaxBrokenWalks))
        {
            return false;
        }

        summary.FurtherUses++;
        AddCounts(summary, active);
        return true;
    }

    private void AddCounts(L2Summary summary, bool active)
    {
        if (active)
        {
            context.Report.AllocatedClusters += summary.Allocated;
            context.Report.FragmentedClusters += summary.Fragmented;
            context.Report.CompressedClusters += summary.CompressedClusters;
        }
    }

    private async ValueTask CountL2Async(HostOffset l2, long firstCluster, bool active, CancellationToken cancellationToken)
    {
        var summary = new L2Summary();
        if (_walked.TryGetValue(l2, out var earlier))
        {
            summary.FurtherUses = earlier.FurtherUses;
        }

        _walked[l2] = summary;
        if (!await _tables.LoadL2Async(l2, cancellationToken))
        {
            return;
        }

        long problems = context.Report.Corruptions + context.Report.CorruptionsFixed;
        for (int i = 0; i < _image.L2Entries; i++)
        {
            ulong entry = _tables.L2Entry(i), subclusters = _tables.Subclusters(i);
            if (entry == 0 && subclusters == 0)
            {
                continue;
            }

            var repaired = (entry & EntryBits.Compressed) != 0
                ? CountCompressed(entry, subclusters, i, summary)
                : CountStandard(entry, subclusters, summary)
                    ?? (_image.HasDataFile ? CheckPlace(entry, subclusters, (firstCluster + i) << _image.ClusterBits) : null);
            if (repaired is { } whole)
            {
                await RepairEntryAsync(l2, i, whole, cancellationToken);
            }
        }

        summary.Broken = context.Report.Corruptions + context.Report.CorruptionsFixed != problems;
        AddCounts(summary, active);
    }

    /// <returns>What is to be in place of the entry; null: it stays.</returns>
    private (ulong Entry, ulong Subclusters)? CountCompressed(ulong entry, ulong subclusters, int index, L2Summary summary)
    {
        var (offset, bytes) = _tables.Target(entry);
        if ((entry & EntryBits.Copied) != 0)
        {
            context.ReportCorruption($"ERROR: coffset=0x{offset.Value:x}: copied flag must never be set for compressed clusters");
        }

        if (_image.HasDataFile)
        {
            context.ReportCorruption($"ERROR compressed cluster {index} with data file, entry=0x{entry:x}");
            return null;
        }

        if (subclusters != 0)
        {
            context.ReportCorruption($"ERROR compressed cluster {index} with non-zero subcluster allocation bitmap, entry=0x{entry:x}");
            if (!context.RepairsEntries)
            {
                return null;
            }
        }

        context.Count(offset, bytes);
        summary.Allocated++;
        summary.CompressedClusters++;

        // a compressed cluster is fragmented by nature
        summary.Fragmented++;
        return subclusters == 0 ? null : (entry, 0);
    }

    /// <returns>What is to be in place of the entry; null: it stays.</returns>
    private (ulong Entry, ulong Subclusters)? CountStandard(ulong entry, ulong subclusters, L2Summary summary)
    {
        if ((entry & EntryBits.L2Reserved) != 0)
        {
            context.ReportCorruption($"ERROR found l2 entry with reserved bits set: {entry:x}");
        }

        var offset = EntryBits.OffsetOf(entry);

        // an external data file has the first cluster of the disk at offset 0
        bool isFirst = _image.HasDataFile && (entry & (EntryBits.Copied | EntryBits.ZeroFlag)) == EntryBits.Copied;
        if (offset.Value == 0 && !isFirst)
        {
            if ((subclusters & 0xffff_ffff) != 0)
            {
                context.ReportCorruption("ERROR: Unallocated cluster has non-zero subcluster allocation map");
                return context.RepairsEntries ? (entry, LostSubclusters(subclusters)) : null;
            }

            return null;
        }

        (ulong Entry, ulong Subclusters)? repaired = null;
        if (((subclusters >> 32) & subclusters) != 0)
        {
            // QEMU reports these and repairs nothing, so that no byte of the cluster can be read: the data stay here
            context.ReportCorruption($"ERROR offset={offset.Value:x}: Allocated cluster has corrupted subcluster allocation bitmap");
            repaired = context.RepairsEntries ? (entry, subclusters & ~(subclusters << 32)) : null;
        }

        if (!_image.IsAligned(offset))
        {
            bool holdsData = _image.HasExtendedL2 ? (subclusters & 0xffff_ffff) != 0 : (entry & EntryBits.ZeroFlag) == 0;
            context.ReportCorruption(holdsData
                ? $"ERROR offset={offset.Value:x}: Data cluster is not properly aligned; L2 entry corrupted."
                : $"{(context.RepairsEntries ? "Repairing" : "ERROR")} offset={offset.Value:x}: " +
                    "Preallocated cluster is not properly aligned; L2 entry corrupted.");
            if (!holdsData && context.RepairsEntries)
            {
                return _image.HasExtendedL2 ? (0, LostSubclusters(subclusters)) : (EntryBits.ZeroFlag, 0);
            }
        }

        summary.Add(offset, _image.ClusterSize);
        if (!_image.HasDataFile)
        {
            context.CountCluster(offset);
        }

        return repaired;
    }

    /// <returns>What is to be in place of an entry that does not refer to its guest offset in the external data file.</returns>
    private (ulong Entry, ulong Subclusters)? CheckPlace(ulong entry, ulong subclusters, long guestOffset)
    {
        var offset = EntryBits.OffsetOf(entry);
        bool hasCluster = offset.Value != 0 || (entry & (EntryBits.Copied | EntryBits.ZeroFlag)) == EntryBits.Copied;
        if (!hasCluster || offset.Value == guestOffset)
        {
            return null;
        }

        context.ReportCorruption(
            $"ERROR external data file host cluster offset 0x{offset.Value:x} does not match guest cluster offset 0x{guestOffset:x}");
        return context.RepairsEntries ? ((entry & ~(ulong)offset.Value) | (ulong)guestOffset, subclusters) : null;
    }

    // what counted as allocated reads as zeroes from now on; what was in the backing image still is
    private static ulong LostSubclusters(ulong subclusters) => (subclusters | (subclusters << 32)) & 0xffff_ffff_0000_0000;

    private async ValueTask RepairEntryAsync(
        HostOffset l2, int index, (ulong Entry, ulong Subclusters) repaired, CancellationToken cancellationToken)
    {
        var entry = _tables.L2.Slice(index * _image.L2EntrySize, _image.L2EntrySize);
        BinaryPrimitives.WriteUInt64BigEndian(entry.Span, repaired.Entry);
        if (_image.HasExtendedL2)
        {
            BinaryPrimitives.WriteUInt64BigEndian(entry.Span[8..], repaired.Subclusters);
        }

        await context.Storage.WriteAsync(l2.Value + (index * _image.L2EntrySize), entry, cancellationToken);
        context.Report.Corruptions--;
        context.Report.CorruptionsFixed++;
    }

    /// <summary>What the walk of one L2 table found.</summary>
    private sealed class L2Summary
    {
        private HostOffset _nextContiguous;

        public bool Broken { get; set; }

        public long FurtherUses { get; set; }

        public long Allocated { get; set; }

        public long Fragmented { get; set; }

        public long CompressedClusters { get; set; }

        public void Add(HostOffset offset, int clusterSize)
        {
            Allocated++;
            if (_nextContiguous.Value != 0 && offset != _nextContiguous)
            {
                Fragmented++;
            }

            _nextContiguous = offset + clusterSize;
        }
    }
}
