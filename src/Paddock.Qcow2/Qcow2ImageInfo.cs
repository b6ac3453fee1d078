using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>What an image's header says, for `info`.</summary>
public sealed record Qcow2ImageInfo
{
    public required int Version { get; init; }

    public required long VirtualSize { get; init; }

    public required int ClusterSize { get; init; }

    public required int RefcountBits { get; init; }

    public required Qcow2Compression Compression { get; init; }

    public required bool LazyRefcounts { get; init; }

    public required bool Dirty { get; init; }

    public required bool Corrupt { get; init; }

    public bool ExtendedL2 { get; init; }

    /// <summary>How the disk is encrypted; null: it is not.</summary>
    public string? Encryption { get; init; }

    /// <summary>True when the data is in a file of its own.</summary>
    public bool ExternalDataFile { get; init; }

    /// <summary>Persistent bitmaps that are valid, the first <see cref="BitmapDirectory.MaxListed"/> at most.</summary>
    public IReadOnlyList<Qcow2BitmapInfo> Bitmaps { get; init; } = [];

    /// <summary>How many persistent bitmaps there are.</summary>
    public long BitmapCount { get; init; }

    /// <summary>Why the disk cannot be read, in words; null: it can be.</summary>
    public string? Unsupported => Encryption is { } method ? $"the image is encrypted ({method}): encryption is not supported"
        : ExtendedL2 ? "extended L2 entries are not supported"
        : ExternalDataFile ? "external data files are not supported" : null;

    public string? BackingFile { get; init; }

    public string? BackingFormat { get; init; }

    /// <summary>Internal snapshots, as their table lists them.</summary>
    public IReadOnlyList<Qcow2SnapshotInfo> Snapshots { get; init; } = [];

    /// <summary>Null for an image without zones.</summary>
    public ZonedImageInfo? Zoned { get; init; }
}

/// <summary>One internal snapshot.</summary>
public sealed record Qcow2SnapshotInfo(
    string Id, string Name, long DateSeconds, int DateNanoseconds, long VmClockNanoseconds, long VmStateSize, long DiskSize, long InstructionCount);

/// <summary>One persistent bitmap.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Granularity">Bytes of the disk that a bit stands for.</param>
/// <param name="InUse">Whether it was not saved: it cannot be trusted.</param>
/// <param name="Auto">Whether it records writes.</param>
public sealed record Qcow2BitmapInfo(string Name, long Granularity, bool InUse, bool Auto);

/// <summary>The zoned part of an image.</summary>
public sealed record ZonedImageInfo(ZoneLayout Layout, ZonedLimits Limits, long TableOffset, long TableBytes)
{
    /// <summary>True when the zone table stands in the order or with the flag of another layout (zoned-qcow2.md 1.3).</summary>
    public bool TableInForeignOrder { get; init; }

    /// <summary>Zones that the image keeps READ ONLY.</summary>
    public int ReadOnlyZones { get; init; }

    /// <summary>Zones that are OFFLINE: kept so, or because their entry in the zone table is corrupt.</summary>
    public int OfflineZones { get; init; }

    /// <summary>Zones that have a descriptor extension.</summary>
    public int ExtendedZones { get; init; }

    /// <summary>Bytes of a descriptor extension.</summary>
    public int ExtensionBytes { get; init; }
}
