using Paddock.Block;
using Paddock.Zones;

namespace Paddock.Testing;

/// <summary>Zoned disk in memory: the state machine over a raw disk, without an engine. One request at a time.</summary>
public sealed class ZonedMemoryDisk : DelegatingDevice, IZones
{
    private readonly ZoneSet _zones;

    /// <param name="zoneSize">Zone size in bytes.</param>
    /// <param name="count">Number of zones.</param>
    /// <param name="area">Random write areas of the zones.</param>
    public ZonedMemoryDisk(long zoneSize, int count, RandomAreaLimits area = default)
        : base(MemoryDisk.Of(zoneSize * count))
        => _zones = new ZoneSet(
            new ZonedLimits(zoneSize, zoneSize, count, 0, 0, 0, (uint)zoneSize) { RandomArea = area }, zoneSize * count);

    /// <inheritdoc/>
    public override IZones Zones => this;

    /// <inheritdoc/>
    public IZoneAttributes? Attributes => null;

    /// <inheritdoc/>
    ZonedLimits IZones.Limits => _zones.Limits;

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        Require(_zones.BeginWrite(offset, data.Length));
        await base.WriteAsync(offset, data, flags, cancellationToken);
        _zones.EndWrite(_zones.ZoneOf(offset), offset, data.Length, success: true);
    }

    /// <inheritdoc/>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        Require(_zones.Resize(length));
        await base.ResizeAsync(length, preallocation, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        => new(_zones.Report(offset, zones.Span));

    /// <inheritdoc/>
    public ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        => new(_zones.Find(offset, which, zones.Span, count));

    /// <inheritdoc/>
    public ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        Require(_zones.Manage(action, offset, length));
        return default;
    }

    /// <inheritdoc/>
    public ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
    {
        Require(_zones.Commit(position));
        return default;
    }

    /// <inheritdoc/>
    public async ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
    {
        Require(_zones.BeginAppend(zoneStart, data.Length, out long offset));
        observer?.Assigned(offset);
        await base.WriteAsync(offset, data, flags, cancellationToken);
        _zones.EndWrite(_zones.ZoneOf(offset), data.Length, success: true);
        return offset;
    }

    private static void Require(ZoneResult result)
    {
        if (!result.IsOk)
        {
            throw new ZoneException(result.Error, result.Zone, $"zone {result.Zone}: {result.Error}");
        }
    }
}
