using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zone table's part of a flush. When the flush begins, it takes the write pointers that have moved, as far as their data is in
/// the image. It writes them when the data below them, and all tables, are durable: a crash never leaves a pointer above data that
/// is gone.
/// </summary>
internal sealed class ZoneTableStage(ZonedState state) : IFlushStage
{
    private List<int> _captured = ZonePointerTable.NoSectors;

    /// <summary>True between the beginning of a flush and the write, and after a flush that failed between the two.</summary>
    public bool HasCaptured => _captured.Count > 0;

    /// <inheritdoc/>
    public bool IsDue => HasCaptured;

    /// <inheritdoc/>
    public void Begin()
    {
        lock (state.Lock)
        {
            // left over where a flush failed between its beginning and this write
            state.Table.MarkSectorsDirty(_captured);
            _captured = state.Table.Capture(this, static (stage, zone) => stage.StoredPointerOf(zone), state.Zones);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        var sectors = _captured;
        _captured = ZonePointerTable.NoSectors;
        try
        {
            await state.Table.WriteAsync(sectors);
        }
        catch
        {
            lock (state.Lock)
            {
                state.Table.MarkSectorsDirty(sectors);
            }

            throw;
        }
    }

    private long StoredPointerOf(int zone) => state.Buffers.Find(zone) is { } buffer ? buffer.Start : state.Zones.StoredPointerOf(zone);
}
