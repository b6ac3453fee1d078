using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>What the passes of one check share: the image, the report, the reference counts and what may be repaired.</summary>
internal sealed class CheckContext(CheckedImage image, Qcow2Repair repair, Action<string>? line, Action<double>? progress)
{
    /// <summary>More lines than anybody reads; a hostile image would fill a disk with them.</summary>
    private const long MaxLines = 1_000_000;

    private long _lines;

    public CheckedImage Image { get; } = image;

    public IStorage Storage { get; } = image.Storage;

    public Qcow2Repair Repair { get; } = repair;

    /// <summary>The counts so far. A pass that measures twice restores an earlier copy.</summary>
    public Qcow2CheckReport Report { get; set; } = new() { TotalClusters = image.ClustersOf(image.VirtualSize) };

    /// <summary>References found for each cluster of the storage.</summary>
    public ReferenceMap References { get; } = new();

    /// <summary>L1 and L2 tables of the image.</summary>
    public CheckedTables Tables { get; } = new(image);

    /// <summary>The stored refcounts; loaded by the pass that counts their table.</summary>
    public StoredRefcounts Stored { get; set; } = null!;

    /// <summary>Bytes of the storage; a repair may grow it.</summary>
    public long FileLength { get; private set; } = image.Storage.Length;

    /// <summary>Clusters to compare: those of the file, and those past its end that something refers to.</summary>
    public long Clusters { get; private set; } = image.ClustersOf(image.Storage.Length);

    /// <summary>The end of the last cluster in use, as the latest comparison found it.</summary>
    public HostOffset EndOfUsed { get; set; }

    /// <summary>True when the refcount structures are so broken that only building new ones repairs them.</summary>
    public bool NeedsRebuild { get; set; }

    /// <summary>True when entries and tables found broken while counting are repaired; false when counting again after a rebuild.</summary>
    public bool RepairsEntries { get; set; } = repair == Qcow2Repair.All;

    /// <summary>The zoned extension in a layout that fits the image; null if the image has none.</summary>
    public CheckedZones? Zones { get; set; }

    /// <summary>Why the zoned extension fits no known layout; null if it does, or if the image has none.</summary>
    public string? ZoneProblem { get; set; }

    /// <summary>True when errors are repaired.</summary>
    public bool FixesErrors => Repair == Qcow2Repair.All;

    /// <summary>
    /// True when leaked clusters are freed. Tables named by an extension of unknown layout look like leaks, so nothing is
    /// freed while there may be one.
    /// </summary>
    public bool FixesLeaks => Repair != Qcow2Repair.None && !HasTablesOfUnknownLayout;

    private bool HasTablesOfUnknownLayout
        => (ZoneProblem is not null && Zones is null)
            || Image.Snapshots.Exists(
                s => CheckedSnapshotZones.IsIn(s.Extra) && CheckedSnapshotZones.Find(s.Extra, Image.ClusterSize) is null)
            || (Image.Extensions.TryGetValue(CheckedConditions.ExtensionType, out var data)
                && !CheckedConditions.IsKnown(data, Image.ClusterSize))
            || (Image.Extensions.TryGetValue(HeaderExtension.PaddockBlocks, out var blocks)
                && !Passes.UnreadableRangesPass.IsKnown(blocks, Image.ClusterSize, FileLength));

    public void Print(string text)
    {
        if (_lines++ < MaxLines)
        {
            line?.Invoke(text);
        }
        else if (_lines == MaxLines + 1)
        {
            line?.Invoke("Further messages are not shown");
        }
    }

    /// <summary>Prints a line and counts a corruption.</summary>
    public void ReportCorruption(string text)
    {
        Print(text);
        Report.Corruptions++;
    }

    /// <summary>Prints "Repairing" or "ERROR" with what was found, and counts it as fixed or as a corruption.</summary>
    public void ReportRepair(string text, bool repairs)
    {
        Print($"{(repairs ? "Repairing" : "ERROR")} {text}");
        _ = repairs ? Report.CorruptionsFixed++ : Report.Corruptions++;
    }

    /// <summary>Reports the share done, 0 to 1.</summary>
    public void ReportProgress(double share) => progress?.Invoke(share);

    /// <summary>Includes a cluster in the comparison, even past the end of the file.</summary>
    public void Include(HostCluster cluster) => Clusters = Math.Max(Clusters, cluster.Index + 1);

    /// <summary>Reads the length of the storage again after it has grown.</summary>
    public void RefreshLength()
    {
        FileLength = Storage.Length;
        Clusters = Math.Max(Clusters, Image.ClustersOf(FileLength));
    }

    /// <summary>Counts one reference to the cluster at an offset, which need not be aligned.</summary>
    public void CountCluster(HostOffset offset)
    {
        bool isWhole = Image.IsAligned(offset) && offset.Value >= 0 && offset.Value <= FileLength - Image.ClusterSize;
        if (!isWhole || !References.TryIncrement(Image.ClusterOf(offset), Image.RefcountMax))
        {
            Count(offset, Image.ClusterSize);
        }
    }

    /// <summary>Counts <paramref name="times"/> references to each cluster of a region.</summary>
    public void Count(HostOffset offset, long bytes, long times = 1)
    {
        if (bytes <= 0)
        {
            return;
        }

        if (offset.Value < 0 || offset.Value > FileLength - bytes + Image.ClusterSize - 1)
        {
            ReportCorruption("ERROR: counting reference for region exceeding the end of the file by one cluster or more: " +
                $"offset 0x{offset.Value:x} size 0x{bytes:x}");
            return;
        }

        var last = Image.ClusterOf(offset + (bytes - 1));
        for (var cluster = Image.ClusterOf(offset); cluster <= last; cluster += 1)
        {
            ulong count = References[cluster];
            if ((ulong)times > Image.RefcountMax - count)
            {
                ReportCorruption($"ERROR: overflow cluster offset={Image.OffsetOf(cluster)}");
                Print("Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy " +
                    "if the image cannot be opened for writing");
                References[cluster] = Image.RefcountMax;
                continue;
            }

            References[cluster] = count + (ulong)times;
            Include(cluster);
        }
    }

    /// <summary>Reads a table that begins at a cluster; null if it does not lie inside the file.</summary>
    public async ValueTask<byte[]?> ReadTableAsync(HostOffset offset, long bytes, CancellationToken cancellationToken)
    {
        if (offset.Value <= 0 || !Image.IsAligned(offset) || offset.Value > FileLength - bytes)
        {
            return null;
        }

        var table = new byte[bytes];
        await Storage.ReadAsync(offset.Value, table, cancellationToken);
        return table;
    }
}
