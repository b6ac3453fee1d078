using Paddock.Block;

namespace Paddock.Server.Disks;

/// <summary>
/// A part of a disk as a disk of its own; it does not own the whole, and ends where the whole ends, whatever size that has.
/// </summary>
/// <param name="disk">The whole.</param>
/// <param name="start">Where the part begins.</param>
/// <param name="longest">How long it may be.</param>
/// <param name="zones">The zones of the part; null: it is a plain disk.</param>
internal sealed class DiskWindow(IBlockDevice disk, long start, long longest = long.MaxValue, IZones? zones = null)
    : DelegatingDevice(disk, owns: false)
{
    public override long Length => Math.Clamp(Inner.Length - start, 0, longest);

    // what the whole reads as is told by its own status
    public override IBlockDevice? Backing => null;

    public override IZones? Zones => zones;

    public override IRangeCopy? RangeCopy { get; } = disk.RangeCopy is { } copy ? new CopyWindow(copy, start) : null;

    public override IUnreadableRanges? UnreadableRanges { get; }
        = disk.UnreadableRanges is { } ranges ? new UnreadableWindow(ranges, start) : null;

    /// <summary>
    /// The parts of a zoned disk that a protocol without conventional zones can serve: its conventional zones as a plain disk, the
    /// others as a zoned one. A disk that needs no division is returned as it is.
    /// </summary>
    public static IReadOnlyList<IBlockDevice> Part(IBlockDevice disk)
    {
        var whole = CheckedDevice.Unwrap(disk);
        if (whole.Zones is not { Limits: { ConventionalZones: > 0 and var conventional } limits } zones)
        {
            return [disk];
        }

        long border = conventional * limits.ZoneSize;
        var plain = CheckedDevice.Wrap(new DiskWindow(whole, 0, border));
        return border >= disk.Length
            ? [plain] : [plain, CheckedDevice.Wrap(new DiskWindow(whole, border, zones: new ZoneWindow(zones, border, conventional)))];
    }

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Inner.ReadAsync(start + offset, buffer, cancellationToken);

    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteAsync(start + offset, data, flags, cancellationToken);

    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(start + offset, length, flags, cancellationToken);

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Inner.DiscardAsync(start + offset, length, cancellationToken);

    public override ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "a part of a disk has the size that the disk leaves it");

    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var status = await Inner.GetStatusAsync(start + offset, Math.Min(length, Length - offset), cancellationToken);
        return offset + status.Length == Length ? status with { Flags = status.Flags | BlockStatusFlags.EndOfDevice } : status;
    }

    /// <summary>Unreadable ranges of a part of a disk.</summary>
    private sealed class UnreadableWindow(IUnreadableRanges ranges, long start) : IUnreadableRanges
    {
        public ValueTask AddAsync(long offset, long length, CancellationToken cancellationToken = default)
            => ranges.AddAsync(start + offset, length, cancellationToken);
    }

    /// <summary>Copies to a part of a disk; the source is anywhere on the disk.</summary>
    private sealed class CopyWindow(IRangeCopy copy, long start) : DelegatingRangeCopy(copy)
    {
        public override long Start => Inner.Start + start;

        public override ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
            => Inner.CopyAsync(source, start + offset, length, cancellationToken);
    }

    /// <summary>The sequential zones of a disk, counted from 0.</summary>
    private sealed class ZoneWindow(IZones zones, long start, int first) : DelegatingZones(zones)
    {
        public override ZonedLimits Limits
        {
            get
            {
                var all = Inner.Limits;
                return all with { ZoneCount = all.ZoneCount - first, ConventionalZones = 0 };
            }
        }

        public override IZoneAttributes? Attributes { get; }
            = zones.Attributes is { } attributes ? new AttributeWindow(attributes, first) : null;

        public override async ValueTask<int> ReportAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            int count = await Inner.ReportAsync(start + offset, zones, cancellationToken);
            Move(zones.Span[..count]);
            return count;
        }

        public override async ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        {
            var found = await Inner.FindAsync(start + offset, which, zones, count, cancellationToken);
            Move(zones.Span[..found.Filled]);
            return found;
        }

        public override ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => Inner.ManageAsync(action, start + offset, length, cancellationToken);

        public override ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
            => position > 0 ? Inner.CommitAsync(start + position, cancellationToken)
                : throw new ZoneException(ZoneError.OutOfRange, 0, $"a commit up to {position}: the disk begins at 0");

        public override async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
        {
            var moved = observer is null ? null : new ObserverWindow(observer, start);
            return await Inner.AppendAsync(start + zoneStart, data, flags, moved, cancellationToken) - start;
        }

        private void Move(Span<ZoneDescriptor> zones)
        {
            foreach (ref var zone in zones)
            {
                zone = zone with { Start = zone.Start - start, WritePointer = zone.WritePointer - start };
            }
        }
    }

    /// <summary>An observer of appends to a part.</summary>
    private sealed class ObserverWindow(IAppendObserver observer, long start) : IAppendObserver
    {
        public void Assigned(long offset) => observer.Assigned(offset - start);
    }

    /// <summary>What the zones of a part have beside their pointers.</summary>
    private sealed class AttributeWindow(IZoneAttributes attributes, int first) : IZoneAttributes
    {
        public int ExtensionBytes => attributes.ExtensionBytes;

        public bool HasExtension(int zone) => zone >= 0 && attributes.HasExtension(first + zone);

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => attributes.SetConditionAsync(Inside(zone), condition, cancellationToken);

        public async ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => zone >= 0 && await attributes.ReadExtensionAsync(first + zone, buffer, cancellationToken);

        public ValueTask WriteExtensionAsync(
            int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
            => attributes.WriteExtensionAsync(Inside(zone), data, randomArea, cancellationToken);

        private int Inside(int zone)
            => zone >= 0 ? first + zone : throw new ZoneException(ZoneError.OutOfRange, 0, $"there is no zone {zone}");
    }
}
