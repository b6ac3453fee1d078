using Paddock.Block;
using Paddock.Crypto;

namespace Paddock.Qcow2;

/// <summary>Compression of clusters; the numbers are the header's.</summary>
public enum Qcow2Compression : byte
{
    /// <summary>Raw deflate.</summary>
    Zlib = 0,

    /// <summary>Zstandard.</summary>
    Zstd = 1,
}

/// <summary>Which of the three zoned layouts an image has (zoned-qcow2.md 1.2).</summary>
public enum ZoneLayout
{
    /// <summary>Paddock's own, 48 bytes.</summary>
    A,

    /// <summary>The proposal's version 13, 48 bytes.</summary>
    B,

    /// <summary>The newest, 44 bytes.</summary>
    C,
}

/// <summary>The zones of a new image (zoned-qcow2.md 1.2). Sizes are in bytes; 0 in a limit means "no limit".</summary>
public sealed record ZonedCreateOptions
{
    /// <summary>How the image stores its zones.</summary>
    public ZoneLayout Layout { get; init; } = ZoneLayout.A;

    /// <summary>Bytes from one zone's start to the next: a multiple of 512, at most 1,048,576 zones on the disk.</summary>
    public required long ZoneSize { get; init; }

    /// <summary>Writable bytes in a sequential zone: a multiple of 512, at most the zone size; null: the zone size.</summary>
    public long? ZoneCapacity { get; init; }

    /// <summary>Number of leading zones that can be written anywhere.</summary>
    public uint ConventionalZones { get; init; }

    /// <summary>Maximum number of open zones; at most <see cref="MaxActiveZones"/>, unless that is 0.</summary>
    public uint MaxOpenZones { get; init; }

    /// <summary>Maximum number of active (open or closed) zones.</summary>
    public uint MaxActiveZones { get; init; }

    /// <summary>Longest zone append: a multiple of 512 below 4 GiB.</summary>
    public long MaxAppendBytes { get; init; }

    /// <summary>
    /// Random write areas that zones can have: the size is a multiple of the granularity, which is one of 512, and at most 16 MiB and the
    /// zone capacity, which must be a multiple of the granularity. Not set: none.
    /// </summary>
    public RandomAreaLimits RandomArea { get; init; }
}

/// <summary>Properties of a new qcow2 image. All are validated before anything is written.</summary>
public sealed record Qcow2CreateOptions
{
    /// <summary>Size of the disk in bytes, rounded up to whole sectors of 512 bytes.</summary>
    public long Size { get; init; }

    /// <summary>Version of the format, 2 or 3; QEMU calls them compat=0.10 and compat=1.1.</summary>
    public int Version { get; init; } = 3;

    /// <summary>Bytes in a cluster: a power of two, 512 to 2 MiB.</summary>
    public int ClusterSize { get; init; } = 65536;

    /// <summary>Bits in a reference count: 1, 2, 4, 8, 16, 32 or 64; 16 in version 2.</summary>
    public int RefcountBits { get; init; } = 16;

    /// <summary>Whether reference counts may be written late, and rebuilt after a crash. Version 3 only.</summary>
    public bool LazyRefcounts { get; init; }

    /// <summary>How compressed clusters are compressed; <see cref="Qcow2Compression.Zstd"/> in version 3 only.</summary>
    public Qcow2Compression Compression { get; init; }

    /// <summary>
    /// Whether clusters have 32 subclusters that are allocated, copied and zeroed one by one (extended L2 entries). Version 3 and
    /// clusters of at least 16 KiB only.
    /// </summary>
    public bool ExtendedL2 { get; init; }

    /// <summary>How much space the image takes at once. With a backing file: none, except with <see cref="ExtendedL2"/>.</summary>
    public Preallocation Preallocation { get; init; }

    /// <summary>Name of the image that supplies what this one does not hold, relative to this image's folder; null: none.</summary>
    public string? BackingFile { get; init; }

    /// <summary>Format of the backing file, <c>qcow2</c> or <c>raw</c>; null: recognized when it is opened.</summary>
    public string? BackingFormat { get; init; }

    /// <summary>
    /// Path of the file for the disk's data, as the image will have it; relative to the working directory of whoever opens the image,
    /// as in QEMU. Null: the data are in the image. Version 3 only.
    /// </summary>
    public string? DataFile { get; init; }

    /// <summary>
    /// Whether the data file reads as the disk does, without the image. All clusters are then allocated at once; no backing file.
    /// </summary>
    public bool DataFileRaw { get; init; }

    /// <summary>How the disk is encrypted; null: it is not.</summary>
    public LuksOptions? Encryption { get; init; }

    /// <summary>
    /// Whether the disk is encrypted as QEMU's first encrypted images are, with a passphrase given when it is opened. Insecure: for tests,
    /// and because qemu-img has it.
    /// </summary>
    internal bool OldAesEncryption { get; init; }

    /// <summary>The zones; null: none. Version 3 only.</summary>
    public ZonedCreateOptions? Zoned { get; init; }

    /// <summary>
    /// Write pointer of each zone, as an offset on the disk in bytes, taken over from a zoned backing image; null: all zones are empty.
    /// </summary>
    public IReadOnlyList<long>? InitialWritePointers { get; init; }
}
