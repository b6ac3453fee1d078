using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Copies between ranges of a zoned disk: the source reads as it does to clients, with zeroes from a write pointer on, and the target is
/// written, in a sequential zone at the write pointer.
/// </summary>
internal sealed class ZoneRangeCopy(
    ZonedState state, ZoneCache cache, ZoneWriter writer, WriteSession session, RangeCopier copier, ZeroWriter zeroes,
    UnreadableRanges unreadable)
{
    /// <summary>Copies a range.</summary>
    public async ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken)
    {
        if (source < 0 || length > state.Length - source)
        {
            throw new BlockException(
                BlockError.OutOfRange, $"copy from {source}, length {length}: outside the disk of {state.Length} bytes");
        }

        await DrainAsync(source, length, cancellationToken);
        await writer.WriteByAsync(offset, length, () => CopyPartsAsync(source, offset, length, cancellationToken), cancellationToken);
    }

    /// <summary>Makes a range unreadable; in a sequential zone that is a write at the write pointer.</summary>
    public ValueTask MakeUnreadableAsync(long offset, long length, CancellationToken cancellationToken)
        => writer.WriteByAsync(
            offset, length,
            async () =>
            {
                await session.StartAsync();
                if (offset >= state.ConventionalEnd)
                {
                    await zeroes.WriteZeroesAsync(new GuestOffset(offset), length, ZeroFlags.MayUnmap, cancellationToken);
                }

                await unreadable.AddAsync(new GuestOffset(offset), length);
            },
            cancellationToken);

    /// <summary>Drops ranges above write pointers, when the image is opened: a crash came between the two.</summary>
    public void ForgetAbovePointers()
    {
        var zones = state.Zones;
        for (int zone = zones.Geometry.ConventionalZones; unreadable.HasAny && zone < zones.Count; zone++)
        {
            long end = zones.StartOf(zone) + zones.LengthOf(zone), data = zones.DataEndOf(zone);
            if (data < end && zones.ConditionOf(zone) is not (ZoneCondition.Offline or ZoneCondition.ReadOnly))
            {
                unreadable.Written(new GuestOffset(data), end - data);
            }
        }
    }

    /// <summary>Moves what the zones of the source have gathered into the image.</summary>
    private async ValueTask DrainAsync(long source, long length, CancellationToken cancellationToken)
    {
        for (long end = source + length; source < end;)
        {
            int zone = state.Zones.ZoneOf(source);
            source = state.Zones.StartOf(zone) + state.Zones.LengthOf(zone);
            if (HasGathered(zone))
            {
                await state.AcquireAsync(zone);
                try
                {
                    await cache.DrainAsync(zone, cancellationToken);
                }
                finally
                {
                    state.Release(zone);
                }
            }
        }
    }

    private bool HasGathered(int zone)
    {
        lock (state.Lock)
        {
            return state.Buffers.Find(zone) is not null;
        }
    }

    private async ValueTask CopyPartsAsync(long source, long offset, long length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            var (stored, end) = Find(source);
            long part = Math.Min(length, (source < stored ? stored : end) - source);
            await (source < stored
                ? copier.CopyAsync(new GuestOffset(source), new GuestOffset(offset), part, cancellationToken)
                : zeroes.WriteZeroesAsync(new GuestOffset(offset), part, ZeroFlags.MayUnmap, cancellationToken));
            source += part;
            offset += part;
            length -= part;
        }
    }

    /// <summary>Where the data of a zone end that the image has, and where the zone ends.</summary>
    private (long Stored, long End) Find(long source)
    {
        lock (state.Lock)
        {
            var zones = state.Zones;
            int zone = zones.ZoneOf(source);
            if (zones.ConditionOf(zone) == ZoneCondition.Offline)
            {
                throw new ZoneException(ZoneError.Offline, zone, $"copy from {source}: zone {zone} is offline");
            }

            // what was gathered since the copy began may be left out
            long stored = zones.DataEndOf(zone);
            stored = state.Buffers.Find(zone) is { } buffer ? Math.Min(stored, buffer.Start) : stored;
            return (stored, zones.StartOf(zone) + zones.LengthOf(zone));
        }
    }
}
