using Paddock.Block;

namespace Paddock.Tools.Serve;

/// <summary>A part of a disk as a disk of its own; it does not own the whole, and ends where the whole ends, whatever size that has.</summary>
/// <param name="disk">The whole.</param>
/// <param name="start">Where the part begins.</param>
/// <param name="longest">How long it may be.</param>
internal class DiskWindow(IBlockDevice disk, long start, long longest = long.MaxValue) : IBlockDevice
{
    /// <inheritdoc/>
    public long Length => Math.Clamp(disk.Length - start, 0, longest);

    /// <inheritdoc/>
    public bool IsReadOnly => disk.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => disk.Limits;

    protected long Start => start;

    /// <summary>
    /// The parts of a zoned disk that a protocol without conventional zones can serve: its conventional zones as a plain disk, the
    /// others as a zoned one. A disk that needs no parting is given back as it is.
    /// </summary>
    public static IReadOnlyList<IBlockDevice> Part(IBlockDevice disk)
    {
        if (disk is not IZonedBlockDevice { Zoned: { ConventionalZones: > 0 and var conventional } limits } zoned)
        {
            return [disk];
        }

        long border = conventional * limits.ZoneSize;
        var plain = CheckedBlockDevice.Wrap(new DiskWindow(disk, 0, border));
        return border >= disk.Length ? [plain] : [plain, CheckedBlockDevice.Wrap(new ZonedWindow(zoned, border))];
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => disk.ReadAsync(start + offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => disk.WriteAsync(start + offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => disk.WriteZeroesAsync(start + offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => disk.DiscardAsync(start + offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => disk.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "a part of a disk has the size that the disk leaves it");

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var status = await disk.GetStatusAsync(start + offset, Math.Min(length, Length - offset), cancellationToken);
        return offset + status.Length == Length ? status with { Flags = status.Flags | BlockStatusFlags.EndOfDevice } : status;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>The sequential zones of a disk, counted from 0.</summary>
    private sealed class ZonedWindow(IZonedBlockDevice zoned, long border)
        : DiskWindow(zoned, border), IZonedBlockDevice
    {
        private readonly IZonedBlockDevice _zoned = zoned;

        public IZoneAttributes? Attributes { get; } = zoned.Attributes is { } attributes
            ? new AttributeWindow(attributes, zoned.Zoned.ConventionalZones)
            : null;

        public ZonedLimits Zoned
        {
            get
            {
                var all = _zoned.Zoned;
                return all with { ZoneCount = all.ZoneCount - all.ConventionalZones, ConventionalZones = 0 };
            }
        }

        public async ValueTask<int> ReportZonesAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            int count = await _zoned.ReportZonesAsync(Start + offset, zones, cancellationToken);
            Move(zones.Span[..count]);
            return count;
        }

        public async ValueTask<ZoneFindings> FindZonesAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        {
            var found = await _zoned.FindZonesAsync(Start + offset, which, zones, count, cancellationToken);
            Move(zones.Span[..found.Filled]);
            return found;
        }

        private void Move(Span<ZoneDescriptor> zones)
        {
            foreach (ref var zone in zones)
            {
                zone = zone with { Start = zone.Start - Start, WritePointer = zone.WritePointer - Start };
            }
        }

        public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => _zoned.ManageZonesAsync(action, Start + offset, length, cancellationToken);

        public async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
            => await _zoned.AppendAsync(Start + zoneStart, data, flags, cancellationToken) - Start;
    }

    /// <summary>What the zones of a window have beside their pointers.</summary>
    private sealed class AttributeWindow(IZoneAttributes attributes, int first) : IZoneAttributes
    {
        public int ExtensionBytes => attributes.ExtensionBytes;

        public bool HasExtension(int zone) => zone >= 0 && attributes.HasExtension(first + zone);

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => attributes.SetConditionAsync(Inside(zone), condition, cancellationToken);

        public async ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => zone >= 0 && await attributes.ReadExtensionAsync(first + zone, buffer, cancellationToken);

        public ValueTask WriteExtensionAsync(int zone, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
            => attributes.WriteExtensionAsync(Inside(zone), data, cancellationToken);

        private int Inside(int zone) => zone >= 0 ? first + zone : throw new ZoneException(ZoneError.OutOfRange, 0, $"there is no zone {zone}");
    }
}
