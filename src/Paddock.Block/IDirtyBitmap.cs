namespace Paddock.Block;

/// <summary>A record of the parts of a disk that have changed: one bit for each <see cref="Granularity"/> bytes.</summary>
public interface IDirtyBitmap
{
    /// <summary>The bitmap's name.</summary>
    string Name { get; }

    /// <summary>Granularity: bytes of the disk per bit, a power of two.</summary>
    long Granularity { get; }

    /// <summary>Bytes of the disk.</summary>
    long Length { get; }

    /// <summary>Finds the run of equal bits that starts at an offset.</summary>
    /// <param name="offset">Offset in bytes, inside the disk.</param>
    /// <param name="length">Length of the range in bytes, at least 1.</param>
    DirtyRun Find(long offset, long length);
}

/// <summary>A part of a disk whose bits are equal.</summary>
/// <param name="Length">Bytes, at least 1 and at most the length requested.</param>
/// <param name="IsDirty">Whether it has changed.</param>
public readonly record struct DirtyRun(long Length, bool IsDirty);
