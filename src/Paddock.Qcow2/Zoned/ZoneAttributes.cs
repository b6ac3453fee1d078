using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>What a zone has beside its pointer: READ ONLY and OFFLINE, and its descriptor extension (zoned-qcow2.md 1.4).</summary>
internal sealed class ZoneAttributes(
    ZonedState state, EngineLocks locks, WriteSession session, FlushOrder order, ZoneCache cache, ZoneWriter writer,
    ZoneTableStage tableStage, PaddockTables tables, ZoneConditions conditions, ZoneExtensions extensions, ZoneAreas areas)
    : IZoneAttributes
{
    /// <inheritdoc/>
    public int ExtensionBytes => extensions.Bytes;

    /// <inheritdoc/>
    public bool HasExtension(int zone)
    {
        lock (state.Lock)
        {
            return zone >= 0 && zone < state.Zones.Count && state.Zones.IsExtended(zone);
        }
    }

    /// <inheritdoc/>
    public async ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
    {
        if (condition is not (ZoneCondition.ReadOnly or ZoneCondition.Offline or ZoneCondition.Empty))
        {
            throw new ArgumentException($"a zone is not set to {condition}", nameof(condition));
        }

        EnsureChangeable(zone);
        await state.AcquireAsync(zone);
        try
        {
            var kept = condition == ZoneCondition.Empty ? 0 : condition;
            if (kept != conditions[zone])
            {
                await cache.DrainAsync(zone, cancellationToken);
                await session.StartAsync();
                await KeepConditionAsync(zone, kept);
            }
        }
        finally
        {
            state.Release(zone);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!HasExtension(zone))
        {
            return false;
        }

        await state.AcquireAsync(zone, zone, exclusive: false);
        try
        {
            if (!HasExtension(zone))
            {
                return false;
            }

            await extensions.ReadAsync(zone, buffer, cancellationToken);
            return true;
        }
        finally
        {
            state.Release(zone, zone, exclusive: false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteExtensionAsync(
        int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
    {
        EnsureChangeable(zone);
        if (data.Length != ExtensionBytes)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"a zone descriptor extension of {data.Length} bytes: it must have {ExtensionBytes}");
        }

        await state.AcquireAsync(zone);
        bool written = false;
        try
        {
            Extend(zone, data.Length, randomArea);
            try
            {
                await session.StartAsync();
                if (randomArea)
                {
                    await areas.EraseAsync(zone);
                }

                await KeepExtensionAsync(zone, data, randomArea);
                written = true;
            }
            finally
            {
                if (!written)
                {
                    lock (state.Lock)
                    {
                        state.Zones.SetLoaded(zone, state.Zones.StartOf(zone));
                        state.Erasing.Remove(zone);
                    }
                }
            }
        }
        finally
        {
            state.Release(zone);
        }
    }

    private void EnsureChangeable(int zone)
    {
        writer.EnsureWritable();
        session.EnsureWritable();
        tables.RequireKnown();
        if (zone < 0 || zone >= state.Zones.Count)
        {
            throw new ZoneException(
                ZoneError.OutOfRange, 0, $"zone {zone} does not exist: this disk has zones 0 to {state.Zones.Count - 1}");
        }
    }

    // takes the active resource at once, so that nobody else can
    private void Extend(int zone, int length, bool randomArea)
    {
        lock (state.Lock)
        {
            var result = state.Zones.Extend(zone, randomArea);
            if (!result.IsOk)
            {
                throw state.Refuse(result, "zone descriptor extension", state.Zones.StartOf(zone), length);
            }

            if (randomArea)
            {
                state.Erasing.Add(zone);
            }
        }
    }

    private async ValueTask KeepConditionAsync(int zone, ZoneCondition kept)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            // the stored pointer is what a READ ONLY zone ends at, and where a restored one continues
            await order.RunAsync();
            var before = conditions[zone];
            bool hadArea = state.Zones.HasRandomArea(zone);
            long pointer = state.Table.PointerOf(zone, state.Zones);
            if (kept == 0)
            {
                // a zone that was retired has lost its random write area
                await extensions.EndAreaAsync(zone);
            }

            SetCondition(zone, kept, pointer);
            bool done = false;
            try
            {
                await conditions.SetAsync(zone, kept, state.Zones.Count);
                done = true;
            }
            finally
            {
                if (!done)
                {
                    SetCondition(zone, before, pointer, force: true, hadArea);
                }
            }
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private void SetCondition(int zone, ZoneCondition kept, long pointer, bool force = false, bool randomArea = false)
    {
        lock (state.Lock)
        {
            if (kept != 0)
            {
                state.Zones.SetFixed(zone, kept);
                return;
            }

            var result = state.Zones.CheckRestore(zone, pointer);
            if (!result.IsOk && !force)
            {
                throw state.Refuse(result, "restoring a zone", state.Zones.StartOf(zone), state.Zones.LengthOf(zone));
            }

            state.Zones.SetLoaded(zone, pointer, state.Zones.IsExtended(zone), randomArea);
        }
    }

    private async ValueTask KeepExtensionAsync(int zone, ReadOnlyMemory<byte> data, bool randomArea)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            if (tableStage.HasCaptured || state.Table.IsDirty(zone))
            {
                // a reset that failed may have left the old pointer on the storage
                await order.RunAsync();
            }

            await extensions.WriteAsync(zone, data, state.Zones.Count, randomArea);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
