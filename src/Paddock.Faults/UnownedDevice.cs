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

    private UnownedDevice(string reason, long length, BlockLimits limits, bool copies, bool keepsUnreadable, ZoneFacts? zones)
    {
        (_reason, Length, Limits, _copies, _keepsUnreadable) = (reason, length, limits, copies, keepsUnreadable);
        Zones = zones is { } facts ? new UnownedZones(this, facts) : null;
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

    /// <summary>Takes the place of a disk.</summary>
    /// <param name="disk">The disk, open for reading or writing; not used later.</param>
    /// <param name="reason">Why requests fail: the whole message.</param>
    public static UnownedDevice For(IBlockDevice disk, string reason)
    {
        var attributes = disk.Zones?.Attributes;
        return new UnownedDevice(
            reason, disk.Length, disk.Limits, disk.RangeCopy is not null, disk.UnreadableRanges is not null,
            disk.Zones is { } zones ? new ZoneFacts(zones.Limits, attributes is not null, attributes?.ExtensionBytes ?? 0) : null);
    }

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

    /// <summary>What is known of the zones.</summary>
    private readonly record struct ZoneFacts(ZonedLimits Limits, bool HasAttributes, int ExtensionBytes);

    /// <summary>The zones: their limits are known, their conditions are not.</summary>
    private sealed class UnownedZones(UnownedDevice owner, ZoneFacts facts) : IZones, IZoneAttributes
    {
        public ZonedLimits Limits => facts.Limits;

        public IZoneAttributes? Attributes => facts.HasAttributes ? this : null;

        public int ExtensionBytes => facts.ExtensionBytes;

        public bool HasExtension(int zone) => false;

        public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask CommitAsync(long position, CancellationToken cancellationToken = default) => throw owner.NotOwner();

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();

        public ValueTask WriteExtensionAsync(
            int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
            => throw owner.NotOwner();
    }
}
