using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// A flush in one round trip, on storages with durable writes: the gathered data of one zone are written behind the zone table, together
/// with their pointer, in one request that is atomic (<see cref="ZoneDataRecord"/>). They stay gathered, and go to their clusters with
/// a later flush. Only if nothing else has to become durable.
/// </summary>
internal sealed class ZoneDirectFlush(
    ZonedState state, ImageHeader header, EngineLocks locks, WriteSession session, FlushOrder order, IDurableStorage durable,
    IStorage storage, ZoneTableStage stage, ZoneTableSpace space, RecordMark mark)
{
    /// <summary>Most bytes of a table that is written as a whole.</summary>
    private const int MaxTable = 16 << 10;

    /// <summary>Flushes, if it can be done in this way.</summary>
    /// <returns>False if it was not done.</returns>
    /// <exception cref="BlockException">Writing failed.</exception>
    public async ValueTask<bool> TryAsync()
    {
        int zone;
        lock (state.Lock)
        {
            zone = state.Buffers.Count == 1 ? state.Buffers.Zones()[0] : -1;
        }

        if (zone < 0 || !durable.IsSettled)
        {
            return false;
        }

        await state.AcquireAsync(zone);
        try
        {
            await locks.Metadata.AcquireAsync();
            try
            {
                return await TryLockedAsync(zone);
            }
            finally
            {
                locks.Metadata.Release();
            }
        }
        finally
        {
            state.Release(zone);
        }
    }

    private async ValueTask<bool> TryLockedAsync(int zone)
    {
        session.EnsureWritable();
        ZoneBuffers.Buffer? buffer;
        lock (state.Lock)
        {
            buffer = state.Buffers.Find(zone);
        }

        if (buffer is null || !HasRoom(buffer.Length) || !space.IsReady)
        {
            return false;
        }

        if (!mark.IsSet && !await TryMarkAsync())
        {
            return false;
        }

        // the order matters: what lies below the pointers that the beginning has taken was written before it
        if (!order.TryBeginZoneTable() || !durable.IsSettled)
        {
            return false;
        }

        if (buffer.Recorded == buffer.Length && !stage.HasCaptured)
        {
            return true;
        }

        if (stage.TakeRecorded(zone, buffer.Start + buffer.Length) is not { } sectors)
        {
            return false;
        }

        bool isDone = false;
        try
        {
            mark.IsLive = true;
            await state.Table.WriteRecordAsync(
                durable, sectors, new ZoneDataRecord(zone, buffer.Start, buffer.Start + buffer.Length),
                buffer.Bytes.AsMemory(0, buffer.Length));
            isDone = true;
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            // the place behind the table is not reserved, that of the data is
        }
        finally
        {
            if (isDone)
            {
                lock (state.Lock)
                {
                    buffer.Recorded = buffer.Length;
                }

                // a backup after a flush finds what was flushed in its bitmap
                session.Record(new GuestOffset(buffer.Start), buffer.Length);
            }
            else
            {
                stage.Restore(zone, buffer.Start + buffer.Recorded, sectors);
                space.MarkUncertain();
            }
        }

        return isDone;
    }

    private async ValueTask<bool> TryMarkAsync()
    {
        try
        {
            // what another program has left there must not come to count with the bit
            await state.Table.ClearRecordAsync();
            await mark.SetAsync();
            return true;
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            // the place behind the table is not reserved
            return false;
        }
    }

    private bool HasRoom(int length)
    {
        int table = state.Table.Stored.Length;
        long start = state.Table.Offset.Value, end = start + ZoneDataRecord.PlaceFor(table) + ZoneDataRecord.SizeFor(length);
        return table <= MaxTable && length <= ZoneDataRecord.RoomFor(table, header.Geometry) && end <= storage.Length
            && start / durable.DurableBlock == (end - 1) / durable.DurableBlock;
    }
}
