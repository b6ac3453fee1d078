using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Zone management: open and close change memory alone, finish erases what is not written, reset is <see cref="ZoneResets"/>'s, and random
/// write areas are kept by <see cref="ZoneAreas"/>.
/// </summary>
internal sealed class ZoneManager(
    ZonedState state, WriteSession session, ZoneTableSpace tableSpace, ZoneCache cache, ZoneWriter writer, ZoneResets resets,
    ZoneAreas areas, RangeEraser eraser)
{
    /// <summary>Applies an action to every zone of a range, all or none.</summary>
    public async ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
    {
        writer.EnsureWritable();
        if (action == ZoneAction.OpenWithRandomArea)
        {
            areas.RequireKnown();
        }

        long diskLength = state.Length;
        long firstLock = Math.Clamp(offset, 0, diskLength) / state.Zones.Geometry.ZoneSize;
        long lastLock = Math.Max(firstLock, (offset + Math.Clamp(length, 0, diskLength)) / state.Zones.Geometry.ZoneSize);
        await state.AcquireAsync(firstLock, lastLock);
        try
        {
            var range = Check(action, offset, length, out var allocated);
            if (allocated.Count > 0)
            {
                await areas.AllocateAsync(allocated);
            }

            if (IsOfMemory(action))
            {
                return;
            }

            await session.StartAsync();
            if (action == ZoneAction.Finish)
            {
                await FinishAsync(range, cancellationToken);
            }
            else if (range.First <= range.Last)
            {
                await resets.RunAsync(range);
            }
        }
        finally
        {
            state.Release(firstLock, lastLock);
        }
    }

    /// <summary>Commits a random write area.</summary>
    public async ValueTask CommitAsync(long position)
    {
        writer.EnsureWritable();
        int zone = state.Zones.ZoneOf(Math.Clamp(position - 1, 0, state.Length - 1));
        await state.AcquireAsync(zone);
        try
        {
            if (state.Zones.HasRandomArea(zone))
            {
                await session.StartAsync();
                await tableSpace.PrepareAsync();
                await areas.PrepareAsync(zone);
            }

            Commit(zone, position);
        }
        finally
        {
            state.Release(zone);
        }
    }

    private void Commit(int zone, long end)
    {
        lock (state.Lock)
        {
            int open = state.Zones.ImplicitlyOpenCount;
            var result = state.Zones.Commit(end);
            if (!result.IsOk)
            {
                throw state.Refuse(result, "zone commit", state.Zones.PointerOf(zone), Math.Max(0, end - state.Zones.PointerOf(zone)));
            }

            state.TraceOpen("commit", open);
            state.Table.MarkDirty(zone);
        }
    }

    private static bool IsOfMemory(ZoneAction action)
        => action is ZoneAction.Open or ZoneAction.Close or ZoneAction.OpenWithRandomArea;

    /// <summary>Checks a request, and applies what changes memory alone.</summary>
    private ZoneRange Check(ZoneAction action, long offset, long length, out List<int> allocated)
    {
        allocated = [];
        lock (state.Lock)
        {
            var result = state.Zones.CheckRange(action, offset, length, out var range);
            if (!result.IsOk)
            {
                string what = action == ZoneAction.OpenWithRandomArea
                    ? "open with a random write area" : action.ToString().ToLowerInvariant();
                throw state.Refuse(result, $"zone {what}", offset, length);
            }

            for (int zone = range.First; action == ZoneAction.OpenWithRandomArea && zone <= range.Last; zone++)
            {
                if (!state.Zones.HasRandomArea(zone))
                {
                    allocated.Add(zone);
                    state.Erasing.Add(zone);
                }
            }

            if (IsOfMemory(action))
            {
                state.Apply(action, range);
            }

            return range;
        }
    }

    private async ValueTask FinishAsync(ZoneRange range, CancellationToken cancellationToken)
    {
        await tableSpace.PrepareAsync();
        for (int zone = Next(range.First); zone >= 0; zone = Next(zone + 1))
        {
            await cache.DrainAsync(zone, cancellationToken);
            await eraser.EraseAsync(new GuestOffset(state.Zones.DataEndOf(zone)), new GuestOffset(state.CapacityEnd(zone)));
        }

        lock (state.Lock)
        {
            for (int zone = Next(range.First); zone >= 0; zone = Next(zone + 1))
            {
                state.Table.MarkDirty(zone);
            }

            state.Apply(ZoneAction.Finish, range);
        }

        int Next(int from) => state.Zones.NextChange(ZoneAction.Finish, range, from);
    }
}
