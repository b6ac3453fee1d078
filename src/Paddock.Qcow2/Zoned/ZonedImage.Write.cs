using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// writes, appends, and the volatile cache in front of them
internal sealed partial class ZonedImage
{
    /// <inheritdoc/>
    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (IsConventional(offset))
        {
            Check(offset, data.Length);
            await _image.WriteAsync(offset, data, WriteFlags.None, cancellationToken);
        }
        else
        {
            int zone = _zones.ZoneOf(offset);
            await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
            try
            {
                Check(offset, data.Length);
                await StoreAsync(zone, offset, data, cancellationToken);
            }
            finally
            {
                _zoneLocks.Release(zone, zone, exclusive: true);
            }
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
    {
        int zone = zoneStart >= 0 && zoneStart < Length ? _zones.ZoneOf(zoneStart) : 0;
        long offset;
        await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
        try
        {
            CheckWritable();
            ZoneResult result;
            lock (_state)
            {
                int open = _zones.ImplicitlyOpenCount;
                result = _zones.BeginAppend(zoneStart, data.Length, out offset);
                TraceOpen("append", open);
            }

            if (!result.IsOk)
            {
                throw Refuse(result, "zone append", zoneStart, data.Length);
            }

            observer?.Assigned(offset);
            await StoreAsync(zone, offset, data, cancellationToken);
        }
        finally
        {
            _zoneLocks.Release(zone, zone, exclusive: true);
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }

        return offset;
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        if (IsConventional(offset))
        {
            Check(offset, length);
            await _image.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.Fua, cancellationToken);
        }
        else
        {
            int zone = _zones.ZoneOf(offset);
            await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
            try
            {
                Check(offset, length);
                await ZeroAtPointerAsync(zone, offset, length, flags & ~ZeroFlags.Fua, cancellationToken);
            }
            finally
            {
                _zoneLocks.Release(zone, zone, exclusive: true);
            }
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    private bool IsConventional(long offset) => offset < _zones.Geometry.ConventionalZones * _zones.Geometry.ZoneSize;

    private void CheckWritable()
    {
        if (IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is open for reading only");
        }

        _image.Storage.ThrowIfFlushFailed();
    }

    /// <summary>Passes a write, which takes its resources, or throws.</summary>
    private void Check(long offset, long length)
    {
        CheckWritable();
        ZoneResult result;
        lock (_state)
        {
            int open = _zones.ImplicitlyOpenCount;
            result = _zones.BeginWrite(offset, length);
            TraceOpen("write", open);
        }

        if (!result.IsOk)
        {
            throw Refuse(result, "write", offset, length);
        }
    }

    /// <summary>Takes data that was passed: into the zone's buffer, or through to the image. The caller holds the zone.</summary>
    private async ValueTask StoreAsync(int zone, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        bool stored = false;
        try
        {
            await PrepareAsync();
            var buffer = GatherInto(zone, data.Span);
            if (buffer is null)
            {
                await DrainAsync(zone, cancellationToken);
                buffer = await BeginBufferAsync(zone, offset, data);
                if (buffer is null)
                {
                    await _image.WriteAsync(offset, data, WriteFlags.None, cancellationToken);
                }
            }

            if (buffer is not null && (buffer.Room == 0 || offset + data.Length == _zones.StartOf(zone) + _zones.CapacityOf(zone)))
            {
                await DrainGatheredAsync(zone, buffer, data.Length, cancellationToken);
            }

            stored = true;
        }
        finally
        {
            EndWrite(zone, data.Length, stored);
        }
    }

    /// <summary>Puts data into the zone's buffer if there is one with room.</summary>
    private ZoneBuffers.Buffer? GatherInto(int zone, ReadOnlySpan<byte> data)
    {
        lock (_state)
        {
            var buffer = _buffers.Find(zone);
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
    /// Begins a buffer for a zone that has none. Space for all that it can gather is taken first: what a buffer has accepted must reach the
    /// image however full the file system is by then.
    /// </summary>
    /// <returns>Null where the data are to be written at once.</returns>
    private async ValueTask<ZoneBuffers.Buffer?> BeginBufferAsync(int zone, long offset, ReadOnlyMemory<byte> data)
    {
        long room = ZoneBuffers.BufferBytes - (offset % ZoneBuffers.BufferBytes);
        if (data.Length > room || data.Length >= ZoneBuffers.BufferBytes / 2 || _buffers.Count >= ZoneBuffers.MaxBuffers)
        {
            return null;
        }

        try
        {
            if (!await _parts.Space.TryReserveAsync(
                new GuestOffset(offset), Math.Min(room, _zones.StartOf(zone) + _zones.CapacityOf(zone) - offset)))
            {
                return null;
            }
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            // there may still be room for these data alone
            return null;
        }

        lock (_state)
        {
            if (_buffers.Take(zone, offset) is null)
            {
                return null;
            }
        }

        return GatherInto(zone, data.Span);
    }

    /// <summary>Before a zone changes: the zone table has its space, and a reset that failed has left nothing uncertain.</summary>
    private ValueTask PrepareAsync() => _hasTableSpace && !_isUncertain ? default : PrepareTableAsync();

    private async ValueTask PrepareTableAsync()
    {
        await _parts.Session.StartAsync();
        await _parts.Locks.Metadata.AcquireAsync();
        try
        {
            if (_isUncertain)
            {
                // the sectors are marked: this writes them as memory has them, durably
                await _parts.Order.RunAsync();
                _isUncertain = false;
            }

            await _parts.Reservation.EnsureAsync(_table.Offset, _table.Stored.Length);
            _hasTableSpace = true;
        }
        finally
        {
            _parts.Locks.Metadata.Release();
        }
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
                lock (_state)
                {
                    buffer.Length -= last;
                    if (buffer.Length == 0)
                    {
                        _buffers.Drop(zone);
                    }
                }
            }
        }
    }

    private void EndWrite(int zone, long length, bool success)
    {
        lock (_state)
        {
            int open = _zones.ImplicitlyOpenCount;
            _zones.EndWrite(zone, length, success);
            TraceOpen("write", open);
            _table.MarkDirty(zone);
        }

        if (success && Qcow2Trace.IsEnabled)
        {
            Qcow2Trace.WpTracking(zone, _zones.PointerOf(zone) / 512);
        }
    }

    private async ValueTask ZeroAtPointerAsync(int zone, long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        bool done = false;
        try
        {
            await PrepareAsync();
            await DrainAsync(zone, cancellationToken);
            await _image.WriteZeroesAsync(offset, length, flags, cancellationToken);
            done = true;
        }
        finally
        {
            EndWrite(zone, length, done);
        }
    }

    /// <summary>Moves a zone's gathered data into the image. The caller holds the zone.</summary>
    private async ValueTask DrainAsync(int zone, CancellationToken cancellationToken)
    {
        ZoneBuffers.Buffer? buffer;
        lock (_state)
        {
            buffer = _buffers.Find(zone);
        }

        if (buffer is null)
        {
            return;
        }

        await _image.WriteAsync(buffer.Start, buffer.Bytes.AsMemory(0, buffer.Length), WriteFlags.None, cancellationToken);
        lock (_state)
        {
            _buffers.Drop(zone);
            _table.MarkDirty(zone);
        }
    }

    private async ValueTask DrainAllAsync(CancellationToken cancellationToken)
    {
        int[] zones;
        lock (_state)
        {
            if (_buffers.Count == 0)
            {
                return;
            }

            zones = _buffers.Zones();
        }

        BlockException? failure = null;
        foreach (int zone in zones)
        {
            await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
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
                _zoneLocks.Release(zone, zone, exclusive: true);
            }
        }

        if (failure is not null)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }
}
