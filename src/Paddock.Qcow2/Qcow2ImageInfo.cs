using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>Properties of an image, from its header.</summary>
public sealed record Qcow2ImageInfo
{
    /// <summary>Version of the format, 2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Size of the disk in bytes.</summary>
    public required long VirtualSize { get; init; }

    /// <summary>Bytes in a cluster.</summary>
    public required int ClusterSize { get; init; }

    /// <summary>Bits in a reference count.</summary>
    public required int RefcountBits { get; init; }

    /// <summary>How compressed clusters are compressed.</summary>
    public required Qcow2Compression Compression { get; init; }

    /// <summary>Whether reference counts may be written late.</summary>
    public required bool LazyRefcounts { get; init; }

    /// <summary>Whether the image was not closed properly: its reference counts are to be rebuilt.</summary>
    public required bool Dirty { get; init; }

    /// <summary>Whether the image was found corrupt: it cannot be written before it is repaired.</summary>
    public required bool Corrupt { get; init; }

    /// <summary>Whether L2 entries are extended: 32 subclusters of each cluster are allocated one by one.</summary>
    public bool ExtendedL2 { get; init; }

    /// <summary>Bytes that are allocated, copied and zeroed together: a subcluster, or a cluster without extended L2 entries.</summary>
    public int SubclusterSize => ExtendedL2 ? ClusterSize >> SubclusterMap.CountBits : ClusterSize;

    /// <summary>Name of the encryption; null: the disk is not encrypted.</summary>
    public string? Encryption { get; init; }

    /// <summary>Whether the image was opened with its key.</summary>
    internal bool HasKey { get; init; }

    /// <summary>The LUKS header with its key slots; null: the disk is not encrypted, or not with LUKS.</summary>
    internal LuksVolume? Luks { get; init; }

    /// <summary>True when the data is in a file of its own.</summary>
    public bool ExternalDataFile { get; init; }

    /// <summary>Name of that file as it is in the header; null: none is given, and one must be named when the image is opened.</summary>
    public string? DataFile { get; init; }

    /// <summary>Whether that file reads as the disk does, without the image.</summary>
    public bool DataFileRaw { get; init; }

    /// <summary>Persistent bitmaps; none where a program that does not update them has written to the image.</summary>
    public IReadOnlyList<Qcow2BitmapInfo> Bitmaps { get; init; } = [];

    /// <summary>Number of persistent bitmaps.</summary>
    public long BitmapCount => Bitmaps.Count;

    /// <summary>The feature that keeps the disk from being read, as a sentence; null: it can be read.</summary>
    public string? Unsupported => Encryption is { } method && !HasKey ? $"the image is encrypted ({method}) and was opened without its key"
        : null;

    /// <summary>Name of the backing file as it is in the header; null if absent.</summary>
    public string? BackingFile { get; init; }

    /// <summary>Format of the backing file as it is in the header; null: none is given.</summary>
    public string? BackingFormat { get; init; }

    /// <summary>Internal snapshots, as their table lists them.</summary>
    public IReadOnlyList<Qcow2SnapshotInfo> Snapshots { get; init; } = [];

    /// <summary>Null for an image without zones.</summary>
    public ZonedImageInfo? Zoned { get; init; }
}

/// <summary>One internal snapshot.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name.</param>
/// <param name="DateSeconds">When it was taken, in seconds since 1970.</param>
/// <param name="DateNanoseconds">Nanoseconds after <paramref name="DateSeconds"/>.</param>
/// <param name="VmClockNanoseconds">How long the virtual machine had run, in nanoseconds.</param>
/// <param name="VmStateSize">Bytes of the virtual machine's state; 0: none.</param>
/// <param name="DiskSize">Size of the disk at that time, in bytes.</param>
/// <param name="InstructionCount">Instructions executed until then; -1: not recorded.</param>
public sealed record Qcow2SnapshotInfo(
    string Id, string Name, long DateSeconds, int DateNanoseconds, long VmClockNanoseconds, long VmStateSize, long DiskSize,
    long InstructionCount);

/// <summary>One persistent bitmap.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Granularity">Bytes of the disk that a bit stands for.</param>
/// <param name="InUse">Whether it was not saved: it cannot be trusted.</param>
/// <param name="Auto">Whether it records writes.</param>
public sealed record Qcow2BitmapInfo(string Name, long Granularity, bool InUse, bool Auto);

/// <summary>The zones of an image.</summary>
/// <param name="Layout">How the image stores them.</param>
/// <param name="Limits">Geometry and limits.</param>
/// <param name="TableOffset">Offset of the zone table in the file, in bytes.</param>
/// <param name="TableBytes">Bytes of the zone table.</param>
public sealed record ZonedImageInfo(ZoneLayout Layout, ZonedLimits Limits, long TableOffset, long TableBytes)
{
    /// <summary>True when the zone table stands in the order or with the flag of another layout (zoned-qcow2.md 1.3).</summary>
    public bool TableInForeignOrder { get; init; }

    /// <summary>Number of read-only zones.</summary>
    public int ReadOnlyZones { get; init; }

    /// <summary>Number of offline zones: set offline, or with a corrupt entry in the zone table.</summary>
    public int OfflineZones { get; init; }

    /// <summary>Number of zones with a descriptor extension.</summary>
    public int ExtendedZones { get; init; }

    /// <summary>Bytes of a descriptor extension.</summary>
    public int ExtensionBytes { get; init; }

    /// <summary>Number of zones with a random write area.</summary>
    public int RandomAreas { get; init; }
}
