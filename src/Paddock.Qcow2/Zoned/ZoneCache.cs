using System.Runtime.ExceptionServices;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The drive's volatile write cache: takes small writes into <see cref="ZoneBuffers"/>, and moves them into the image. The caller
/// holds the zone.
/// </summary>
internal sealed class ZoneCache(ZonedState state, ClusterWriter writer, SpaceAhead space, bool isReadOnly)
{
    /// <summary>Takes data into the zone's buffer, or writes them to the image.</summary>
    public ValueTask StoreAsync(int zone, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        var buffer = TryGather(zone, data.Span);
        return buffer is not null && !IsComplete(zone, buffer, offset + data.Length)
            ? default
            : StoreAsync(zone, offset, data, buffer, cancellationToken);
    }

    /// <summary>Moves a zone's gathered data into the image.</summary>
    public async ValueTask DrainAsync(int zone, CancellationToken cancellationToken)
    {
        ZoneBuffers.Buffer? buffer;
        lock (state.Lock)
        {
            buffer = state.Buffers.Find(zone);
        }

        if (buffer is null)
        {
            return;
        }

        await writer.WriteAsync(new GuestOffset(buffer.Start), buffer.Bytes.AsMemory(0, buffer.Length), WriteFlags.None, cancellationToken);
        lock (state.Lock)
        {
            state.Buffers.Drop(zone);
            state.Table.MarkDirty(zone);
        }
    }

    /// <summary>Moves all gathered data into the image. The caller holds no zone.</summary>
    public async ValueTask DrainAllAsync(CancellationToken cancellationToken)
    {
        BlockException? failure = null;
        foreach (int zone in Gathering())
        {
            await state.AcquireAsync(zone);
            try
            {
                await DrainAsync(zone, cancellationToken);
            }
            catch (BlockException e)
            {
                // one zone that cannot be written keeps no other from being written
                failure ??= e;
            }
            finally
            {
                state.Release(zone);
            }
        }

        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <summary>Moves all gathered data into the image. The caller holds all zones.</summary>
    public async ValueTask DrainAllHeldAsync(CancellationToken cancellationToken)
    {
        foreach (int zone in Gathering())
        {
            await DrainAsync(zone, cancellationToken);
        }
    }

    private async ValueTask StoreAsync(
        int zone, long offset, ReadOnlyMemory<byte> data, ZoneBuffers.Buffer? buffer, CancellationToken cancellationToken)
    {
        if (buffer is null)
        {
            await DrainAsync(zone, cancellationToken);
            buffer = await TryBeginAsync(zone, offset, data);
            if (buffer is null)
            {
                await writer.WriteAsync(new GuestOffset(offset), data, WriteFlags.None, cancellationToken);
            }
        }

        if (buffer is not null && IsComplete(zone, buffer, offset + data.Length))
        {
            await DrainGatheredAsync(zone, buffer, data.Length, cancellationToken);
        }
    }

    private bool IsComplete(int zone, ZoneBuffers.Buffer buffer, long end) => buffer.Room == 0 || end == state.CapacityEnd(zone);

    private int[] Gathering()
    {
        lock (state.Lock)
        {
            return state.Buffers.Count == 0 || isReadOnly ? [] : state.Buffers.Zones();
        }
    }

    /// <summary>Puts data into the zone's buffer if there is one with room.</summary>
    private ZoneBuffers.Buffer? TryGather(int zone, ReadOnlySpan<byte> data)
    {
        lock (state.Lock)
        {
            var buffer = state.Buffers.Find(zone);
            if (buffer is null || buffer.Room < data.Length)
            {
                return null;
            }

            data.CopyTo(buffer.Bytes.AsSpan(buffer.Length));
            buffer.Length += data.Length;
            return buffer;
        }
    }

    /// <summary>
    /// Begins a buffer for a zone that has none. Space for all that it can gather is taken first: what a buffer has accepted must reach
    /// the image however full the file system is by then.
    /// </summary>
    /// <returns>Null where the data are to be written at once.</returns>
    private async ValueTask<ZoneBuffers.Buffer?> TryBeginAsync(int zone, long offset, ReadOnlyMemory<byte> data)
    {
        long room = ZoneBuffers.BufferBytes - (offset % ZoneBuffers.BufferBytes);
        if (data.Length > room || data.Length >= ZoneBuffers.BufferBytes / 2 || state.Buffers.Count >= ZoneBuffers.MaxBuffers)
        {
            return null;
        }

        try
        {
            if (!await space.TryReserveAsync(new GuestOffset(offset), Math.Min(room, state.CapacityEnd(zone) - offset)))
            {
                return null;
            }
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            // there may still be room for these data alone
            return null;
        }

        lock (state.Lock)
        {
            if (state.Buffers.Take(zone, offset) is null)
            {
                return null;
            }
        }

        return TryGather(zone, data.Span);
    }

    // the last request's part leaves the buffer again when the image does not take it: that request fails, the earlier ones stay
    private async ValueTask DrainGatheredAsync(int zone, ZoneBuffers.Buffer buffer, int last, CancellationToken cancellationToken)
    {
        bool drained = false;
        try
        {
            await DrainAsync(zone, cancellationToken);
            drained = true;
        }
        finally
        {
            if (!drained)
            {
                lock (state.Lock)
                {
                    buffer.Length -= last;
                    if (buffer.Length == 0)
                    {
                        state.Buffers.Drop(zone);
                    }
                }
            }
        }
    }
}
