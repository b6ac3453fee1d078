using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Random write areas of zones. Their data are in the image like those below the write pointer; the image keeps which zones have an area
/// (<see cref="ZoneExtensions"/>), and blocks that were never written are zeroes there. So a zone is erased before it gets an area,
/// durably; and after a crash, or a write that failed, what may be left above the area is erased before the area moves there.
/// </summary>
internal sealed class ZoneAreas(
    ZonedState state, EngineLocks locks, FlushOrder order, ZoneTableSpace tableSpace, PaddockTables tables, ZoneExtensions extensions,
    RangeEraser eraser)
{
    // zones that hold nothing above their areas; guarded by the state's lock
    private readonly HashSet<int> _clean = [];

    /// <summary>Refuses a change where the image's extension must be kept as it is.</summary>
    public void RequireKnown() => tables.RequireKnown();

    /// <summary>Keeps the areas that zones have in memory, durably. The caller holds the zones.</summary>
    /// <param name="zones">Zones that were EMPTY: after a failure they are EMPTY again.</param>
    public async ValueTask AllocateAsync(List<int> zones)
    {
        int done = 0;
        try
        {
            await tableSpace.PrepareAsync();
            foreach (int zone in zones)
            {
                await eraser.EraseAsync(new GuestOffset(state.Zones.StartOf(zone)), new GuestOffset(state.CapacityEnd(zone)));
            }

            EndErasing(zones);
            await locks.Metadata.AcquireAsync();
            try
            {
                // what was erased, and the pointers of resets that failed
                await order.RunAsync();
                for (; done < zones.Count; done++)
                {
                    await extensions.WriteAreaAsync(zones[done], state.Zones.Count);
                    MarkClean(zones[done]);
                }
            }
            finally
            {
                locks.Metadata.Release();
            }
        }
        finally
        {
            Forget(zones, done);
        }
    }

    /// <summary>Erases a zone that is to get an extension and an area in one write, durably. The caller holds the zone.</summary>
    public async ValueTask EraseAsync(int zone)
    {
        await tableSpace.PrepareAsync();
        await eraser.EraseAsync(new GuestOffset(state.Zones.StartOf(zone)), new GuestOffset(state.CapacityEnd(zone)));
        EndErasing([zone]);
        await locks.WithMetadataAsync(order.RunAsync);
    }

    /// <summary>Before data go into an area, or the area moves: nothing is left above it. The caller holds the zone.</summary>
    public ValueTask PrepareAsync(int zone)
    {
        lock (state.Lock)
        {
            if (_clean.Contains(zone))
            {
                return default;
            }
        }

        return CleanAsync(zone);
    }

    /// <summary>After a write that failed: it may have left data above the area.</summary>
    public void MarkUnclean(int zone)
    {
        lock (state.Lock)
        {
            _clean.Remove(zone);
        }
    }

    /// <summary>After a change of the size: a zone may be longer.</summary>
    public void MarkAllUnclean()
    {
        lock (state.Lock)
        {
            _clean.Clear();
        }
    }

    private void MarkClean(int zone)
    {
        lock (state.Lock)
        {
            _clean.Add(zone);
        }
    }

    private async ValueTask CleanAsync(int zone)
    {
        await eraser.EraseAsync(new GuestOffset(state.Zones.DataEndOf(zone)), new GuestOffset(state.CapacityEnd(zone)));
        MarkClean(zone);
    }

    private void Forget(List<int> zones, int done)
    {
        lock (state.Lock)
        {
            for (int i = done; i < zones.Count; i++)
            {
                state.Zones.SetLoaded(zones[i], state.Zones.StartOf(zones[i]));
            }
        }

        EndErasing(zones);
    }

    private void EndErasing(List<int> zones)
    {
        lock (state.Lock)
        {
            state.Erasing.ExceptWith(zones);
        }
    }
}
