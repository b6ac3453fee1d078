namespace Paddock.Qcow2;

/// <summary>What is changed of an image; null leaves a property as it is.</summary>
public sealed record Qcow2AmendOptions
{
    /// <summary>
    /// Version of the format, 2 or 3. Version 2 makes clusters that are marked as zeroes unallocated, or writes the zeroes.
    /// </summary>
    public int? Version { get; init; }

    /// <summary>Bits in a reference count: 1, 2, 4, 8, 16, 32 or 64; 16 in version 2.</summary>
    public int? RefcountBits { get; init; }

    /// <summary>Whether reference counts may be written late. Version 3 only.</summary>
    public bool? LazyRefcounts { get; init; }

    /// <summary>
    /// Name of the external data file, as the image will have it; empty: none, so that one must be named when the image is opened. Only
    /// for an image that has its data in such a file; the file itself is not touched.
    /// </summary>
    public string? DataFile { get; init; }

    /// <summary>Whether the external data file reads as the disk does. It can only be given up.</summary>
    public bool? DataFileRaw { get; init; }
}
