using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// Takes the place of a disk that another process owns: it has the size, limits and zones of the disk, and fails every request with
/// <see cref="BlockError.NotOwner"/>.
/// </summary>
internal sealed class UnownedDevice : IBlockDevice, IRangeCopy, IUnreadableRanges
{
    private readonly string _reason;
    private readonly bool _copies, _keepsUnreadable;

    /// <param name="like">The disk, open for reading or writing; not used later.</param>
    /// <param name="reason">Why requests fail: the whole message.</param>
    public UnownedDevice(IBlockDevice like, string reason)
    {
        _reason = reason;
        (Length, Limits) = (like.Length, like.Limits);
        (_copies, _keepsUnreadable) = (like.RangeCopy is not null, like.UnreadableRanges is not null);
        Zones = like.Zones is { } zones ? new UnownedZones(this, zones) : null;
    }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public BlockLimits Limits { get; }

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public IZones? Zones { get; }

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy => _copies ? this : null;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => _keepsUnreadable ? this : null;

    object IRangeCopy.Disk => this;

    long IRangeCopy.Start => 0;

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default) => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => throw NotOwner();

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
        // the owner knows
    }

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => throw NotOwner();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Fails as every request does.</summary>
    /// <exception cref="BlockException">Always.</exception>
    public void Reject() => throw NotOwner();

    ValueTask IRangeCopy.CopyAsync(long source, long offset, long length, CancellationToken cancellationToken) => throw NotOwner();

    ValueTask IUnreadableRanges.AddAsync(long offset, long length, CancellationToken cancellationToken) => throw NotOwner();

    private BlockException NotOwner() => new(BlockError.NotOwner, _reason);

    /// <summary>The zones: their limits are known, their conditions are not.</summary>
    private sealed class UnownedZones(UnownedDevice device, IZones like) : IZones, IZoneAttributes
    {
        private readonly bool _hasAttributes = like.Attributes is not null;

        public ZonedLimits Limits { get; } = like.Limits;

        public IZoneAttributes? Attributes => _hasAttributes ? this : null;

        public int ExtensionBytes { get; } = like.Attributes?.ExtensionBytes ?? 0;

        public bool HasExtension(int zone) => false;

        public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask CommitAsync(long position, CancellationToken cancellationToken = default) => throw device.NotOwner();

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => throw device.NotOwner();

        public ValueTask WriteExtensionAsync(
            int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
            => throw device.NotOwner();
    }
}
