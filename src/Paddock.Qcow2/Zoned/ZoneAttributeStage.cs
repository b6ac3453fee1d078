using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The part of a flush that writes what zones have beside their pointers, where a change failed or a reset left something stale.
/// </summary>
internal sealed class ZoneAttributeStage(PaddockTables tables, ZoneExtensions extensions) : IFlushStage
{
    /// <inheritdoc/>
    public bool IsDue => tables.IsUncertain || extensions.IsUnsettled;

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        await tables.SettleAsync();
        await extensions.SettleAsync();
    }
}
