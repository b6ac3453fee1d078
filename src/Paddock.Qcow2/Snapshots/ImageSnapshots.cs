using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>The internal snapshots of an open image: one change at a time, and none while the disk's size changes.</summary>
internal sealed class ImageSnapshots : IQcow2Snapshots
{
    private readonly ImageHeader _header;
    private readonly EngineLocks _locks;
    private readonly WriteSession _session;
    private readonly SnapshotDirectory _directory;
    private readonly SnapshotCreation _creation;
    private readonly SnapshotDeletion _deletion;
    private readonly SnapshotRestore _restore;

    public ImageSnapshots(
        ImageHeader header, EngineLocks locks, WriteSession session, SnapshotDirectory directory, SnapshotCreation creation,
        SnapshotDeletion deletion, SnapshotRestore restore)
    {
        _header = header;
        _locks = locks;
        _session = session;
        _directory = directory;
        _creation = creation;
        _deletion = deletion;
        _restore = restore;
    }

    /// <summary>The zones of the disk, which register themselves; null without.</summary>
    public ISnapshotZones? Zones { get; set; }

    /// <inheritdoc/>
    public IReadOnlyList<Qcow2SnapshotInfo> List => [.. _directory.Entries.Select(e => e.ToInfo(_header.VirtualSize))];

    /// <inheritdoc/>
    public TimeSpan LastPause => _creation.LastPause;

    /// <inheritdoc/>
    public async ValueTask<Qcow2SnapshotInfo> CreateAsync(
        string name, DateTimeOffset takenAt, CancellationToken cancellationToken = default)
    {
        int length = ByteText.ToBytes(name).Length;
        if (length > ushort.MaxValue)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"the name of a snapshot has {length} bytes; the limit is {ushort.MaxValue}");
        }

        var entry = new SnapshotEntry
        {
            Id = "",
            Name = name,
            Header = new SnapshotHeader
            {
                DateSeconds = (uint)takenAt.ToUnixTimeSeconds(), DateNanoseconds = (uint)(takenAt.Ticks % TimeSpan.TicksPerSecond * 100),
            },
        };
        return await AloneAsync(async () => (await _creation.RunAsync(entry, Zones)).ToInfo(_header.VirtualSize), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DeleteAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default)
        => AloneAsync(() => _deletion.RunAsync(Find(snapshot)), cancellationToken);

    /// <inheritdoc/>
    public ValueTask ApplyAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default)
        => AloneAsync(() => _restore.RunAsync(Find(snapshot), Zones), cancellationToken);

    private SnapshotEntry Find(Qcow2SnapshotInfo snapshot)
        => _directory.Entries.FirstOrDefault(e => e.Id == snapshot.Id && e.Name == snapshot.Name)
            ?? throw new BlockException(BlockError.NotFound, $"the image has no snapshot '{snapshot.Name}' with the ID {snapshot.Id}");

    private async ValueTask AloneAsync(Func<ValueTask> change, CancellationToken cancellationToken)
        => await AloneAsync<object?>(
            async () =>
            {
                await change();
                return null;
            },
            cancellationToken);

    private async ValueTask<T> AloneAsync<T>(Func<ValueTask<T>> change, CancellationToken cancellationToken)
    {
        await _locks.Structure.AcquireAsync();
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            _session.EnsureWritable();
            return _header.Has(IncompatibleFeatures.ExternalDataFile)
                ? throw new BlockException(BlockError.NotSupported, "an image with an external data file cannot have snapshots")
                : await change();
        }
        finally
        {
            _locks.Structure.Release();
        }
    }
}
