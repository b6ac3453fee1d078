using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Passes zones from one image to another with the same zones: write pointers, conditions and descriptor extensions. A clone takes its
/// base's, and a base those of the overlay that is committed into it.
/// </summary>
internal sealed class ZoneTransfer(
    ZonedState state, EngineLocks locks, WriteSession session, FlushOrder order, ZoneCache cache, ZoneTableSpace space,
    PaddockTables tables, ZoneConditions conditions, ZoneExtensions extensions)
{
    /// <summary>All zones of this image, as they are; everything below the pointers is in the image.</summary>
    public async ValueTask<ZoneContents[]> ReadAsync(CancellationToken cancellationToken)
    {
        await state.AcquireAsync(0, long.MaxValue);
        try
        {
            await cache.DrainAllHeldAsync(cancellationToken);
            var contents = new ZoneContents[state.Zones.Count];
            for (int zone = 0; zone < contents.Length; zone++)
            {
                var (pointer, kept) = Describe(zone);
                byte[]? extension = null;
                if (state.Zones.IsExtended(zone))
                {
                    extension = new byte[extensions.Bytes];
                    await extensions.ReadAsync(zone, extension, cancellationToken);
                }

                contents[zone] = new ZoneContents(pointer, kept, extension);
            }

            return contents;
        }
        finally
        {
            state.Release(0, long.MaxValue);
        }
    }

    /// <summary>
    /// Makes this image's first zones what the contents say, durably: after everything written so far, extensions first, then pointers,
    /// then conditions. After a crash between them the same transfer can be done again.
    /// </summary>
    /// <exception cref="BlockException">The image cannot hold them; nothing is changed.</exception>
    public async ValueTask WriteAsync(IReadOnlyList<ZoneContents> contents, CancellationToken cancellationToken)
    {
        session.EnsureWritable();
        Check(contents);
        await state.AcquireAsync(0, long.MaxValue);
        try
        {
            await cache.DrainAllHeldAsync(cancellationToken);
            await space.PrepareAsync();
            await session.StartAsync();
            await locks.Metadata.AcquireAsync();
            try
            {
                await order.RunAsync();
                await WriteExtensionsAsync(contents);
                SetPointers(contents);
                await order.RunAsync();
                await WriteConditionsAsync(contents);
            }
            finally
            {
                locks.Metadata.Release();
            }
        }
        finally
        {
            state.Release(0, long.MaxValue);
        }
    }

    private (long Pointer, ZoneCondition Kept) Describe(int zone)
    {
        var zones = state.Zones;
        if (!zones.Geometry.IsSequential(zone))
        {
            return (zones.StartOf(zone), conditions[zone]);
        }

        // a fixed zone has its pointer only in the table; one whose entry is corrupt is OFFLINE
        bool isFixed = zones.ConditionOf(zone) is ZoneCondition.Offline or ZoneCondition.ReadOnly;
        return !isFixed ? (zones.StoredPointerOf(zone), 0)
            : state.Table.IsValid(zone, zones) ? (state.Table.PointerOf(zone, zones), conditions[zone])
            : (zones.StartOf(zone), ZoneCondition.Offline);
    }

    private void Check(IReadOnlyList<ZoneContents> contents)
    {
        if (contents.Count > state.Zones.Count)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"{contents.Count} zones are to be taken over by an image that has {state.Zones.Count}");
        }

        uint active = 0;
        for (int zone = 0; zone < contents.Count; zone++)
        {
            var (pointer, kept, extension) = contents[zone];
            long inside = pointer - state.Zones.StartOf(zone);
            active += kept == 0 && inside < state.Zones.CapacityOf(zone) && (inside > 0 || extension is not null) ? 1U : 0;
            if (extension is not null && extension.Length != extensions.Bytes)
            {
                throw new BlockException(
                    BlockError.InvalidArgument,
                    $"zone {zone} has a descriptor extension of {extension.Length} bytes, and this image keeps {extensions.Bytes}");
            }

            if (kept != 0 || extension is not null)
            {
                tables.RequireKnown();
            }
        }

        uint most = state.Zones.Limits.MaxActiveZones;
        if (most != 0 && active > most)
        {
            throw new BlockException(
                BlockError.TooManyZones,
                $"{active} zones are partly written, and max_active_zones is {most}: finish or reset some of them");
        }
    }

    private async ValueTask WriteExtensionsAsync(IReadOnlyList<ZoneContents> contents)
    {
        for (int zone = 0; zone < contents.Count; zone++)
        {
            if (contents[zone].Extension is { } extension)
            {
                await extensions.WriteAsync(zone, extension, state.Zones.Count);
            }
            else if (extensions.HasState(zone))
            {
                // cleared by the flush that writes the pointers, before them
                extensions.TakeReset(new ZoneRange(zone, zone));
            }
        }
    }

    private void SetPointers(IReadOnlyList<ZoneContents> contents)
    {
        lock (state.Lock)
        {
            for (int zone = state.Zones.Geometry.ConventionalZones; zone < contents.Count; zone++)
            {
                state.Zones.SetLoaded(zone, contents[zone].Pointer, contents[zone].Extension is not null);
                state.Table.MarkDirty(zone);
            }
        }
    }

    private async ValueTask WriteConditionsAsync(IReadOnlyList<ZoneContents> contents)
    {
        var next = new ZoneCondition[state.Zones.Count];
        for (int zone = 0; zone < next.Length; zone++)
        {
            next[zone] = zone < contents.Count ? contents[zone].Kept : conditions[zone];
        }

        await conditions.ReplaceAsync(next);
        lock (state.Lock)
        {
            for (int zone = 0; zone < contents.Count; zone++)
            {
                if (contents[zone].Kept is not 0 and var kept)
                {
                    state.Zones.SetFixed(zone, kept);
                }
                else if (!state.Zones.Geometry.IsSequential(zone))
                {
                    state.Zones.SetLoaded(zone, state.Zones.StartOf(zone));
                }
            }
        }
    }
}
