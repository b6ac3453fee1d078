using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zone table's part of a flush. When the flush begins, it takes the write pointers that have moved, as far as their data is in
/// the image. It writes them when the data below them, and all tables, are durable: a crash never leaves a pointer above data that
/// is gone.
/// </summary>
/// <param name="table">The table.</param>
/// <param name="zones">The zones.</param>
/// <param name="buffers">What zones have accepted and the image has not.</param>
/// <param name="state">Guards all three.</param>
internal sealed class ZoneTableStage(ZonePointerTable table, ZoneSet zones, ZoneBuffers buffers, Lock state) : IFlushStage
{
    private List<int> _captured = ZonePointerTable.NoSectors;

    /// <summary>True between the beginning of a flush and the write, and after a flush that failed between the two.</summary>
    public bool HasCaptured => _captured.Count > 0;

    /// <inheritdoc/>
    public bool IsDue => HasCaptured;

    /// <inheritdoc/>
    public void Begin()
    {
        lock (state)
        {
            // left over where a flush failed between its beginning and this write
            table.MarkSectorsDirty(_captured);
            _captured = table.Capture(this, static (stage, zone) => stage.StoredPointerOf(zone), zones);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        var sectors = _captured;
        _captured = ZonePointerTable.NoSectors;
        try
        {
            await table.WriteAsync(sectors);
        }
        catch
        {
            lock (state)
            {
                table.MarkSectorsDirty(sectors);
            }

            throw;
        }
    }

    private long StoredPointerOf(int zone) => buffers.Find(zone) is { } buffer ? buffer.Start : zones.StoredPointerOf(zone);
}
