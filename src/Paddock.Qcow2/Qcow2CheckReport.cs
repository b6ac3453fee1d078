namespace Paddock.Qcow2;

/// <summary>What a check repairs.</summary>
public enum Qcow2Repair
{
    /// <summary>Nothing: report only.</summary>
    None,

    /// <summary>Clusters that nothing refers to.</summary>
    Leaks,

    /// <summary>Everything that can be repaired.</summary>
    All,
}

/// <summary>The counts of a check. Its messages go to the caller as they are found.</summary>
public sealed record Qcow2CheckReport
{
    /// <summary>Number of errors that may have lost data, or lose it.</summary>
    public long Corruptions { get; set; }

    /// <summary>Number of clusters that take space and hold nothing.</summary>
    public long Leaks { get; set; }

    /// <summary>Number of structures that could not be checked.</summary>
    public long CheckErrors { get; set; }

    /// <summary>Number of repaired errors.</summary>
    public long CorruptionsFixed { get; set; }

    /// <summary>Number of leaked clusters that were freed.</summary>
    public long LeaksFixed { get; set; }

    /// <summary>Number of clusters of the disk.</summary>
    public long TotalClusters { get; set; }

    /// <summary>Number of clusters of the disk that the image holds.</summary>
    public long AllocatedClusters { get; set; }

    /// <summary>Number of held clusters that do not follow the one before in the file.</summary>
    public long FragmentedClusters { get; set; }

    /// <summary>Number of compressed clusters.</summary>
    public long CompressedClusters { get; set; }

    /// <summary>Offset after the last used byte of the file, in bytes.</summary>
    public long ImageEndOffset { get; set; }
}
