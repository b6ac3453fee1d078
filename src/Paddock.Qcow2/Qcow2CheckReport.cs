namespace Paddock.Qcow2;

/// <summary>What a check may repair.</summary>
public enum Qcow2Repair
{
    /// <summary>Nothing: report only.</summary>
    None,

    /// <summary>Clusters that nothing refers to.</summary>
    Leaks,

    /// <summary>Everything that can be repaired.</summary>
    All,
}

/// <summary>The counts of a check; message lines are given to the caller as they are found.</summary>
public sealed record Qcow2CheckReport
{
    public long Corruptions { get; set; }

    public long Leaks { get; set; }

    public long CheckErrors { get; set; }

    public long CorruptionsFixed { get; set; }

    public long LeaksFixed { get; set; }

    public long TotalClusters { get; set; }

    public long AllocatedClusters { get; set; }

    public long FragmentedClusters { get; set; }

    public long CompressedClusters { get; set; }

    /// <summary>Offset after the last used byte of the storage.</summary>
    public long ImageEndOffset { get; set; }
}
