using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>Changes the size of a zoned disk, or the layout of its table: the image changes size and table in one step.</summary>
internal sealed class ZonedResize(
    ZonedState state, ZoneCache cache, ZoneAreas areas, WriteSession session, ImageFlush flush, ImageResize resize, MetadataGuard guard)
{
    /// <summary>Changes the size.</summary>
    public async ValueTask ResizeAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        await state.AcquireAsync(0, long.MaxValue);
        try
        {
            lock (state.Lock)
            {
                var result = state.Zones.CheckResize(length);
                if (!result.IsOk || length == 0)
                {
                    throw state.Refuse(result, "resize", length, length);
                }
            }

            await FlushAsync(cancellationToken);
            int count = (int)ZoneGeometry.CountFor(length, state.Zones.Geometry.ZoneSize);
            var parameters = state.Parameters with { ZoneCount = (uint)count };
            await SwitchAsync(parameters, TableOf(count), state.Table.Format, length, preallocation, cancellationToken);
            areas.MarkAllUnclean();
        }
        finally
        {
            state.Release(0, long.MaxValue);
        }
    }

    /// <summary>Moves everything that zones have accepted into the image, durably. The caller holds all zones.</summary>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        await cache.DrainAllHeldAsync(cancellationToken);
        await session.StartAsync();
        await flush.RunAsync();
    }

    /// <summary>
    /// The next table first, then size, zones and the table's place in one sector of the header, then the present table's clusters.
    /// Memory follows the header at once: should what comes after it fail, pointers go where the next opening looks for them.
    /// </summary>
    public ValueTask SwitchAsync(
        ZonedParameters parameters, byte[] stored, ZoneTableFormat format, long length, Preallocation preallocation,
        CancellationToken cancellationToken)
        => resize.RunAsync(length, preallocation, new ZoneTableSwitch(state, guard, parameters, stored, format, length), cancellationToken);

    private byte[] TableOf(int count)
    {
        var table = state.Table;
        var stored = new byte[count * ZoneTableFormat.EntrySize];
        table.Stored[..Math.Min(stored.Length, table.Stored.Length)].CopyTo(stored);
        for (int zone = state.Zones.Count; zone < count; zone++)
        {
            table.Format.Write(
                stored.AsSpan(zone * ZoneTableFormat.EntrySize), zone * state.Zones.Geometry.ZoneSize, conventional: false);
        }

        return stored;
    }
}
