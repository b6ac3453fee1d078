using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Zone management: open and close change memory alone, finish erases what is not written, reset is <see cref="ZoneResets"/>'s.
/// </summary>
internal sealed class ZoneManager(
    ZonedState state, WriteSession session, ZoneTableSpace tableSpace, ZoneCache cache, ZoneWriter writer, ZoneResets resets,
    RangeEraser eraser)
{
    /// <summary>Applies an action to every zone of a range, all or none.</summary>
    public async ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
    {
        writer.EnsureWritable();
        long diskLength = state.Length;
        long firstLock = Math.Clamp(offset, 0, diskLength) / state.Zones.Geometry.ZoneSize;
        long lastLock = Math.Max(firstLock, (offset + Math.Clamp(length, 0, diskLength)) / state.Zones.Geometry.ZoneSize);
        await state.AcquireAsync(firstLock, lastLock);
        try
        {
            var range = Check(action, offset, length);
            if (action is ZoneAction.Open or ZoneAction.Close)
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

    /// <summary>Checks a request, and applies what changes memory alone.</summary>
    private ZoneRange Check(ZoneAction action, long offset, long length)
    {
        lock (state.Lock)
        {
            var result = state.Zones.CheckRange(action, offset, length, out var range);
            if (!result.IsOk)
            {
                throw state.Refuse(result, $"zone {action.ToString().ToLowerInvariant()}", offset, length);
            }

            if (action is ZoneAction.Open or ZoneAction.Close)
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
