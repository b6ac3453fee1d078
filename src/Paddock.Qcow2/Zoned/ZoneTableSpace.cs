using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// What must hold before a zone changes: the zone table has its space in the file, and after a reset that failed the storage has
/// the pointers that memory has.
/// </summary>
internal sealed class ZoneTableSpace(
    ZonedState state, EngineLocks locks, WriteSession session, FlushOrder order, MetadataReservation reservation)
{
    private volatile bool _hasSpace;
    private volatile bool _isUncertain;

    /// <summary>Whether nothing has to be done before a zone changes.</summary>
    public bool IsReady => _hasSpace && !_isUncertain;

    /// <summary>Before a zone changes.</summary>
    public ValueTask PrepareAsync() => IsReady ? default : TakeAsync();

    /// <summary>After a reset that failed: the storage may have other pointers than memory until they have been written again.</summary>
    public void MarkUncertain() => _isUncertain = true;

    /// <summary>Writes the pointers again where a reset failed. Under the metadata mutex.</summary>
    /// <param name="always">Whether to flush in any case.</param>
    public async ValueTask SettleAsync(bool always)
    {
        if (always || _isUncertain)
        {
            // the sectors are marked: this writes them as memory has them, durably
            await order.RunAsync();
            _isUncertain = false;
        }
    }

    private async ValueTask TakeAsync()
    {
        await session.StartAsync();
        await locks.Metadata.AcquireAsync();
        try
        {
            await SettleAsync(always: false);
            await reservation.EnsureAsync(state.Table.Offset, state.Table.Stored.Length);
            _hasSpace = true;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
