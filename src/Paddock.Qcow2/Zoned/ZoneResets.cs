using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Resets zones: pointers first, durably, so that no pointer is ever left above data that is gone; then memory follows, and the
/// data's space is freed. The caller holds the zones.
/// </summary>
internal sealed class ZoneResets(
    ZonedState state, EngineLocks locks, ZoneTableStage tableStage, ZoneTableSpace tableSpace, ZoneExtensions extensions,
    RangeEraser eraser, IStorage storage)
{
    /// <summary>Resets zones that may be reset.</summary>
    public async ValueTask RunAsync(ZoneRange range)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            // after a flush that failed, the table in memory holds pointers above data that is not durable, and the sectors of a
            // reset would carry them
            await tableSpace.SettleAsync(always: tableStage.HasCaptured);
            await extensions.TieToPointersAsync(range, zone => state.Table.PointerOf(zone, state.Zones) != state.Zones.StartOf(zone));
            var reset = new ZoneReset(storage, state.Table, extensions);
            lock (state.Lock)
            {
                reset.Begin(range, state.Zones);
            }

            try
            {
                await reset.WriteAsync();
            }
            catch
            {
                await FollowStorageAsync(reset);
                throw;
            }

            Apply(range);
        }
        finally
        {
            locks.Metadata.Release();
        }

        await FreeAsync(state.Zones.StartOf(range.First), state.Zones.Geometry.EndOf(range.Last));
    }

    /// <summary>
    /// A reset failed: a zone is EMPTY in memory only if it is on the storage. What is there is written again before zones change.
    /// </summary>
    private async ValueTask FollowStorageAsync(ZoneReset reset)
    {
        tableSpace.MarkUncertain();
        var done = await reset.FindDoneAsync(state.Zones);
        lock (state.Lock)
        {
            state.Table.MarkSectorsDirty(reset.Sectors);
        }

        foreach (int zone in done)
        {
            Apply(new ZoneRange(zone, zone));
        }
    }

    private void Apply(ZoneRange range)
    {
        lock (state.Lock)
        {
            foreach (int zone in state.Buffers.Zones())
            {
                if (zone >= range.First && zone <= range.Last)
                {
                    state.Buffers.Drop(zone);
                }
            }

            state.Apply(ZoneAction.Reset, range);
            extensions.TakeReset(range);
        }
    }

    private async ValueTask FreeAsync(long start, long end)
    {
        try
        {
            await eraser.EmptyAsync(new GuestOffset(start), new GuestOffset(end));
        }
        catch (BlockException)
        {
            // the zones are EMPTY, durably, and read as zeroes whatever is stored there: only its space stays taken
        }
    }
}
