using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// zone management, flush, discard and resize
internal sealed partial class ZonedImage
{
    /// <inheritdoc/>
    public async ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        string what = $"zone {action.ToString().ToLowerInvariant()}";
        long firstLock = Math.Clamp(offset, 0, Length) / _zones.Geometry.ZoneSize;
        long lastLock = Math.Max(firstLock, (offset + Math.Clamp(length, 0, Length)) / _zones.Geometry.ZoneSize);
        await _zoneLocks.AcquireAsync(firstLock, lastLock, exclusive: true);
        try
        {
            ZoneRange range;
            lock (_state)
            {
                var result = _zones.CheckRange(action, offset, length, out range);
                if (!result.IsOk)
                {
                    throw Refuse(result, what, offset, length);
                }

                if (action is ZoneAction.Open or ZoneAction.Close)
                {
                    Apply(action, range);
                    return;
                }
            }

            await _parts.Session.StartAsync();
            if (action == ZoneAction.Finish)
            {
                await FinishAsync(range, cancellationToken);
            }
            else if (range.First <= range.Last)
            {
                await ResetAsync(range);
            }
        }
        finally
        {
            _zoneLocks.Release(firstLock, lastLock, exclusive: true);
        }
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        await DrainAllAsync(cancellationToken);
        await _image.FlushAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        lock (_state)
        {
            var result = _zones.CheckDiscard(offset, length);
            if (!result.IsOk)
            {
                throw Refuse(result, "discard", offset, length);
            }
        }

        long conventionalEnd = Math.Min(Length, _zones.Geometry.ConventionalZones * _zones.Geometry.ZoneSize);
        long inConventional = Math.Min(conventionalEnd, offset + length) - offset;
        if (inConventional > 0)
        {
            await _image.DiscardAsync(offset, inConventional, cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        await _zoneLocks.AcquireAsync(0, long.MaxValue, exclusive: true);
        try
        {
            lock (_state)
            {
                var result = _zones.CheckResize(length);
                if (!result.IsOk || length == 0)
                {
                    throw Refuse(result, "resize", length, length);
                }
            }

            await ResizeLockedAsync(length, (int)ZoneGeometry.CountFor(length, _zones.Geometry.ZoneSize), preallocation, cancellationToken);
        }
        finally
        {
            _zoneLocks.Release(0, long.MaxValue, exclusive: true);
        }
    }

    private async ValueTask ResizeLockedAsync(long length, int count, Preallocation preallocation, CancellationToken cancellationToken)
    {
        foreach (int zone in _buffers.Zones())
        {
            await DrainAsync(zone, cancellationToken);
        }

        await _parts.Session.StartAsync();
        await _image.FlushAsync(cancellationToken);
        var stored = new byte[count * ZoneTableFormat.EntrySize];
        _table.Stored[..Math.Min(stored.Length, _table.Stored.Length)].CopyTo(stored);
        for (int zone = _zones.Count; zone < count; zone++)
        {
            _table.Format.Write(stored.AsSpan(zone * ZoneTableFormat.EntrySize), zone * _zones.Geometry.ZoneSize, conventional: false);
        }

        var parameters = _parameters with { ZoneCount = (uint)count };
        await SwitchTableAsync(parameters, stored, _table.Format, length, preallocation, cancellationToken);
    }

    // the new table first, then size, zones and the table's place in one sector of the header, then the old table's clusters.
    // Memory follows the header at once: should what comes after it fail, pointers go where the next opening looks for them
    private async ValueTask SwitchTableAsync(
        ZonedParameters parameters, byte[] stored, ZoneTableFormat format, long length, Preallocation preallocation,
        CancellationToken cancellationToken)
    {
        var table = new ZoneTableSwitch(_table, parameters, stored, format, Follow);
        await _parts.Resize.RunAsync(length, preallocation, table, cancellationToken);

        void Follow(ZonedParameters next, HostOffset place)
        {
            lock (_state)
            {
                _parameters = next;
                _zones.Resize(length);
                _table.Move(place, stored, format);
                _parts.Guard.Map.SetRange(MetadataKind.ZoneTable, place, stored.Length);
            }
        }
    }

    private async ValueTask FinishAsync(ZoneRange range, CancellationToken cancellationToken)
    {
        await PrepareAsync();
        for (int zone = Next(range.First); zone >= 0; zone = Next(zone + 1))
        {
            await DrainAsync(zone, cancellationToken);
            await _parts.Eraser.EraseAsync(
                new GuestOffset(_zones.DataEndOf(zone)), new GuestOffset(_zones.StartOf(zone) + _zones.CapacityOf(zone)));
        }

        lock (_state)
        {
            for (int zone = Next(range.First); zone >= 0; zone = Next(zone + 1))
            {
                _table.MarkDirty(zone);
            }

            Apply(ZoneAction.Finish, range);
        }

        int Next(int from) => _zones.NextChange(ZoneAction.Finish, range, from);
    }

    private void Apply(ZoneAction action, ZoneRange range)
    {
        int open = _zones.ImplicitlyOpenCount;
        _zones.Apply(action, range);
        TraceOpen(action.ToString().ToLowerInvariant(), open);
    }

    /// <summary>Pointers first, durably; then memory follows, and the data's space is freed.</summary>
    private async ValueTask ResetAsync(ZoneRange range)
    {
        await _parts.Locks.Metadata.AcquireAsync();
        try
        {
            if (_tableStage.HasCaptured || _isUncertain)
            {
                // a flush failed: the table in memory holds pointers above data that is not durable, and the sectors of a reset
                // would carry them
                await _parts.Order.RunAsync();
                _isUncertain = false;
            }

            await _extensions.TieToPointersAsync(range, zone => StoredPointer(zone) != _zones.StartOf(zone));
            var reset = new ZoneReset(_image.Storage, _table, _extensions);
            lock (_state)
            {
                reset.Begin(range, _zones);
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

            ApplyReset(range);
        }
        finally
        {
            _parts.Locks.Metadata.Release();
        }

        await FreeResetAsync(_zones.StartOf(range.First), _zones.Geometry.EndOf(range.Last));
    }

    /// <summary>
    /// A reset failed: a zone is EMPTY in memory only if it is on the storage. What is there is written again before zones change.
    /// </summary>
    private async ValueTask FollowStorageAsync(ZoneReset reset)
    {
        _isUncertain = true;
        var done = await reset.FindDoneAsync(_zones);
        lock (_state)
        {
            _table.MarkSectorsDirty(reset.Sectors);
        }

        foreach (int zone in done)
        {
            ApplyReset(new ZoneRange(zone, zone));
        }
    }

    private void ApplyReset(ZoneRange range)
    {
        lock (_state)
        {
            foreach (int zone in _buffers.Zones())
            {
                if (zone >= range.First && zone <= range.Last)
                {
                    _buffers.Drop(zone);
                }
            }

            Apply(ZoneAction.Reset, range);
            _extensions.TakeReset(range);
        }
    }

    private async ValueTask FreeResetAsync(long start, long end)
    {
        try
        {
            await _parts.Eraser.EraseAsync(new GuestOffset(start), new GuestOffset(end));
        }
        catch (BlockException)
        {
            // the zones are EMPTY, durably, and read as zeroes whatever lies there: only its space stays taken
        }
    }
}
