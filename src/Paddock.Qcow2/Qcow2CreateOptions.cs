using Paddock.Block;

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
    /// <summary>The mission's own, 48 bytes.</summary>
    A,

    /// <summary>The proposal's version 13, 48 bytes.</summary>
    B,

    /// <summary>The newest, 44 bytes.</summary>
    C,
}

/// <summary>The zoned part of a new image (spec section 2); sizes in bytes, 0 in a limit is "no limit".</summary>
public sealed record ZonedCreateOptions
{
    public ZoneLayout Layout { get; init; } = ZoneLayout.A;

    public required long ZoneSize { get; init; }

    /// <summary>Writable bytes in a zone; null is the zone size.</summary>
    public long? ZoneCapacity { get; init; }

    public uint ConventionalZones { get; init; }

    public uint MaxOpenZones { get; init; }

    public uint MaxActiveZones { get; init; }

    public long MaxAppendBytes { get; init; }
}

/// <summary>What a new qcow2 image is like. <see cref="Qcow2Image.CreateAsync"/> checks it whole before it writes anything.</summary>
public sealed record Qcow2CreateOptions
{
    /// <summary>Virtual size in bytes; rounded up to a sector.</summary>
    public required long Size { get; init; }

    /// <summary>2 (compat=0.10) or 3 (compat=1.1).</summary>
    public int Version { get; init; } = 3;

    /// <summary>512 to 2 MiB, a power of two.</summary>
    public int ClusterSize { get; init; } = 65536;

    /// <summary>1, 2, 4, 8, 16, 32 or 64.</summary>
    public int RefcountBits { get; init; } = 16;

    public bool LazyRefcounts { get; init; }

    public Qcow2Compression Compression { get; init; }

    public Preallocation Preallocation { get; init; }

    public string? BackingFile { get; init; }

    public string? BackingFormat { get; init; }

    /// <summary>Null for an image without zones.</summary>
    public ZonedCreateOptions? Zoned { get; init; }

    /// <summary>Write pointers that the new image starts with, one a zone, taken over from a zoned backing image; null: all zones EMPTY.</summary>
    public IReadOnlyList<long>? InitialWritePointers { get; init; }
}
