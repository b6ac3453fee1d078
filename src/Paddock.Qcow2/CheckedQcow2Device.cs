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
    public IQcow2Snapshots Snapshots => field ??= new CheckedSnapshots(this, image.Snapshots);

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
    public void CheckAmendOptions(Qcow2AmendOptions options) => image.CheckAmendOptions(options);

    /// <inheritdoc/>
    public ValueTask AmendAsync(Qcow2AmendOptions options, Action<long, long>? progress = null)
    {
        CheckWritable();
        return image.AmendAsync(options, progress);
    }

    /// <inheritdoc/>
    public ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
        => image.SetZoneLayoutAsync(layout, cancellationToken);

    /// <inheritdoc/>
    public ValueTask ReadVmStateAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => image.ReadVmStateAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteVmStateAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return image.WriteVmStateAsync(offset, data, cancellationToken);
    }

    private sealed class CheckedSnapshots(CheckedQcow2Device device, IQcow2Snapshots snapshots) : IQcow2Snapshots
    {
        public IReadOnlyList<Qcow2SnapshotInfo> List => snapshots.List;

        public TimeSpan LastPause => snapshots.LastPause;

        public ValueTask<Qcow2SnapshotInfo> CreateAsync(
            string name, DateTimeOffset takenAt, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return snapshots.CreateAsync(name, takenAt, cancellationToken);
        }

        public ValueTask DeleteAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return snapshots.DeleteAsync(snapshot, cancellationToken);
        }

        public ValueTask ApplyAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return snapshots.ApplyAsync(snapshot, cancellationToken);
        }
    }
}
