using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>An open image as clients get it: requests are checked, and what qcow2 offers beside the block device is passed on.</summary>
internal sealed class CheckedQcow2Device(IQcow2Device image) : CheckedDevice(image), IQcow2Device
{
    /// <inheritdoc/>
    public Qcow2ImageInfo Info => image.Info;

    /// <inheritdoc/>
    public IReadOnlyList<string> Warnings => image.Warnings;

    /// <inheritdoc/>
    public IStorage Storage => image.Storage;

    /// <inheritdoc/>
    public IQcow2Bitmaps Bitmaps => image.Bitmaps;

    /// <inheritdoc/>
    public IStorage? DataFile => image.DataFile;

    /// <inheritdoc/>
    public ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckRange(offset, data.Length);
        return image.WriteCompressedAsync(offset, data, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask SetBackingFileAsync(string? name, string? format, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return image.SetBackingFileAsync(name, format, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask EmptyAsync(CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return image.EmptyAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
        => image.SetZoneLayoutAsync(layout, cancellationToken);
}
