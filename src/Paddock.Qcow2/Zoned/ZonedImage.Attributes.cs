using Paddock.Block;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// what a zone has beside its pointer: READ ONLY and OFFLINE, and its descriptor extension (zoned-qcow2.md 1.4)
internal sealed partial class ZonedImage : IZoneAttributes
{
    /// <inheritdoc/>
    public IZoneAttributes Attributes => this;

    /// <inheritdoc/>
    public int ExtensionBytes => _extensions.Bytes;

    /// <inheritdoc/>
    public bool HasExtension(int zone)
    {
        lock (_state)
        {
            return zone >= 0 && zone < _zones.Count && _zones.IsExtended(zone);
        }
    }

    /// <inheritdoc/>
    public async ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
    {
        if (condition is not (ZoneCondition.ReadOnly or ZoneCondition.Offline or ZoneCondition.Empty))
        {
            throw new ArgumentException($"a zone is not set to {condition}", nameof(condition));
        }

        CheckAttributes(zone);
        await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
        try
        {
            var kept = condition == ZoneCondition.Empty ? 0 : condition;
            if (kept != _conditions[zone])
            {
                await DrainAsync(zone, cancellationToken);
                await _parts.Session.StartAsync();
                await KeepConditionAsync(zone, kept);
            }
        }
        finally
        {
            _zoneLocks.Release(zone, zone, exclusive: true);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!HasExtension(zone))
        {
            return false;
        }

        await _zoneLocks.AcquireAsync(zone, zone, exclusive: false);
        try
        {
            if (!HasExtension(zone))
            {
                return false;
            }

            await _extensions.ReadAsync(zone, buffer, cancellationToken);
            return true;
        }
        finally
        {
            _zoneLocks.Release(zone, zone, exclusive: false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteExtensionAsync(int zone, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckAttributes(zone);
        if (data.Length != ExtensionBytes)
        {
            throw new BlockException(BlockError.InvalidArgument, $"a zone descriptor extension of {data.Length} bytes: it must have {ExtensionBytes}");
        }

        await _zoneLocks.AcquireAsync(zone, zone, exclusive: true);
        bool written = false;
        try
        {
            lock (_state)
            {
                // takes the active resource at once, so that nobody else can
                var result = _zones.Extend(zone);
                if (!result.IsOk)
                {
                    throw Refuse(result, "zone descriptor extension", _zones.StartOf(zone), data.Length);
                }
            }

            try
            {
                await _parts.Session.StartAsync();
                await KeepExtensionAsync(zone, data);
                written = true;
            }
            finally
            {
                if (!written)
                {
                    lock (_state)
                    {
                        _zones.SetLoaded(zone, _zones.StartOf(zone));
                    }
                }
            }
        }
        finally
        {
            _zoneLocks.Release(zone, zone, exclusive: true);
        }
    }

    private void CheckAttributes(int zone)
    {
        CheckWritable();
        _parts.Session.EnsureWritable();
        _tables.RequireKnown();
        if (zone < 0 || zone >= _zones.Count)
        {
            throw new ZoneException(ZoneError.OutOfRange, 0, $"there is no zone {zone}: the disk has {_zones.Count}");
        }
    }

    private async ValueTask KeepConditionAsync(int zone, ZoneCondition kept)
    {
        await _parts.Locks.Metadata.AcquireAsync();
        try
        {
            // the stored pointer is what a READ ONLY zone ends at, and what a restored one goes on from
            await _parts.Order.RunAsync();
            var before = _conditions[zone];
            long pointer = StoredPointer(zone);
            SetCondition(zone, kept, pointer);
            bool done = false;
            try
            {
                await _conditions.SetAsync(zone, kept, _zones.Count);
                done = true;
            }
            finally
            {
                if (!done)
                {
                    SetCondition(zone, before, pointer, force: true);
                }
            }
        }
        finally
        {
            _parts.Locks.Metadata.Release();
        }
    }

    private long StoredPointer(int zone)
        => _table.Format.TryRead(_table.Stored, zone, _zones, out long pointer)
            ? pointer
            : throw new ZoneException(
                ZoneError.Offline, zone, $"zone {zone} is offline because its entry in the zone table is corrupt: 'check -r all' mends it");

    private void SetCondition(int zone, ZoneCondition kept, long pointer, bool force = false)
    {
        lock (_state)
        {
            if (kept != 0)
            {
                _zones.SetFixed(zone, kept);
                return;
            }

            var result = _zones.CheckRestore(zone, pointer);
            if (!result.IsOk && !force)
            {
                throw Refuse(result, "restoring a zone", _zones.StartOf(zone), _zones.LengthOf(zone));
            }

            _zones.SetLoaded(zone, pointer, _zones.IsExtended(zone));
        }
    }

    private async ValueTask KeepExtensionAsync(int zone, ReadOnlyMemory<byte> data)
    {
        await _parts.Locks.Metadata.AcquireAsync();
        try
        {
            if (_tableStage.HasCaptured || _table.IsDirty(zone))
            {
                // a reset that failed on its way may have left the old pointer in the storage
                await _parts.Order.RunAsync();
            }

            await _extensions.WriteAsync(zone, data, _zones.Count);
        }
        finally
        {
            _parts.Locks.Metadata.Release();
        }
    }
}
