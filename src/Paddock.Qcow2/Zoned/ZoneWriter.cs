using System.Diagnostics;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Writes, appends and write-zeroes: each is checked by the state machine, stored, and reported to the state machine when it has
/// ended.
/// </summary>
internal sealed class ZoneWriter(
    ZonedState state, WriteSession session, ZoneTableSpace tableSpace, ZoneCache cache, ZoneAreas areas, ClusterWriter writer,
    ZeroWriter zeroes, IStorage storage)
{
    /// <summary>
    /// Writes: anywhere in a conventional zone, at the write pointer of a sequential one, or in its random write area.
    /// </summary>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (offset < state.ConventionalEnd)
        {
            Begin(offset, data.Length);
            await writer.WriteAsync(new GuestOffset(offset), data, WriteFlags.None, cancellationToken);
            return;
        }

        int zone = state.Zones.ZoneOf(offset);
        await state.AcquireAsync(zone);
        try
        {
            Begin(offset, data.Length);
            await StoreAsync(zone, offset, data, cancellationToken);
        }
        finally
        {
            state.Release(zone);
        }
    }

    /// <summary>Writes at the write pointer of the zone that starts at <paramref name="zoneStart"/>.</summary>
    /// <returns>Where the data landed.</returns>
    public async ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, IAppendObserver? observer, CancellationToken cancellationToken)
    {
        int zone = zoneStart >= 0 && zoneStart < state.Length ? state.Zones.ZoneOf(zoneStart) : 0;
        await state.AcquireAsync(zone);
        try
        {
            EnsureWritable();
            long offset = BeginAppend(zoneStart, data.Length);
            observer?.Assigned(offset);
            await StoreAsync(zone, offset, data, cancellationToken);
            return offset;
        }
        finally
        {
            state.Release(zone);
        }
    }

    /// <summary>Makes a range read as zeroes; in a sequential zone that is a write at the write pointer.</summary>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => WriteByAsync(
            offset, length, () => zeroes.WriteZeroesAsync(new GuestOffset(offset), length, flags, cancellationToken), cancellationToken);

    /// <summary>Writes a range whose data something else stores; in a sequential zone that is a write like any other.</summary>
    /// <param name="offset">Where the range starts on the disk.</param>
    /// <param name="length">Its length.</param>
    /// <param name="store">Stores the data, once the range has been accepted.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async ValueTask WriteByAsync(long offset, long length, Func<ValueTask> store, CancellationToken cancellationToken)
    {
        if (offset < state.ConventionalEnd)
        {
            Begin(offset, length);
            await store();
            return;
        }

        int zone = state.Zones.ZoneOf(offset);
        await state.AcquireAsync(zone);
        try
        {
            Begin(offset, length);
            bool done = false;
            try
            {
                await tableSpace.PrepareAsync();
                await (state.Zones.HasRandomArea(zone) ? areas.PrepareAsync(zone) : cache.DrainAsync(zone, cancellationToken));
                await store();
                done = true;
            }
            finally
            {
                End(zone, offset, length, done);
            }
        }
        finally
        {
            state.Release(zone);
        }
    }

    /// <summary>Refuses a change of a disk whose last flush may have lost data.</summary>
    public void EnsureWritable()
    {
        Debug.Assert(!session.IsReadOnly, "CheckedDevice refuses changes of an image that is open for reading only");
        storage.ThrowIfFlushFailed();
    }

    /// <summary>Passes a write, which takes its resources, or throws.</summary>
    private void Begin(long offset, long length)
    {
        EnsureWritable();
        ZoneResult result;
        lock (state.Lock)
        {
            int open = state.Zones.ImplicitlyOpenCount;
            result = state.Zones.BeginWrite(offset, length);
            state.TraceOpen("write", open);
        }

        if (!result.IsOk)
        {
            throw state.Refuse(result, "write", offset, length);
        }
    }

    private long BeginAppend(long zoneStart, int length)
    {
        ZoneResult result;
        long offset;
        lock (state.Lock)
        {
            int open = state.Zones.ImplicitlyOpenCount;
            result = state.Zones.BeginAppend(zoneStart, length, out offset);
            state.TraceOpen("append", open);
        }

        return result.IsOk ? offset : throw state.Refuse(result, "zone append", zoneStart, length);
    }

    /// <summary>Stores data that was passed. The caller holds the zone.</summary>
    private async ValueTask StoreAsync(int zone, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        bool stored = false;
        try
        {
            await tableSpace.PrepareAsync();
            await (state.Zones.HasRandomArea(zone)
                ? StoreInAreaAsync(zone, offset, data, cancellationToken)
                : cache.StoreAsync(zone, offset, data, cancellationToken));
            stored = true;
        }
        finally
        {
            End(zone, offset, data.Length, stored);
        }
    }

    // data in an area are not gathered: they need not follow each other
    private async ValueTask StoreInAreaAsync(int zone, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await areas.PrepareAsync(zone);
        await writer.WriteAsync(new GuestOffset(offset), data, WriteFlags.None, cancellationToken);
    }

    private void End(int zone, long offset, long length, bool success)
    {
        if (!success && state.Zones.HasRandomArea(zone))
        {
            areas.MarkUnclean(zone);
        }

        lock (state.Lock)
        {
            int open = state.Zones.ImplicitlyOpenCount;
            state.Zones.EndWrite(zone, offset, length, success);
            state.TraceOpen("write", open);
            state.Table.MarkDirty(zone);
        }

        if (success && Qcow2Trace.IsEnabled)
        {
            Qcow2Trace.WpTracking(zone, state.Zones.PointerOf(zone) / 512);
        }
    }
}
