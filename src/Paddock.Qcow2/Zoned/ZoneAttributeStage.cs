using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The part of a flush that writes what zones have beside their pointers, where a change failed or a reset left something stale.
/// </summary>
internal sealed class ZoneAttributeStage(PaddockTables tables, ZoneExtensions extensions, AttributeRestore restore) : IFlushStage
{
    /// <inheritdoc/>
    public bool IsDue => tables.IsUncertain || extensions.IsUnsettled || restore.IsDue;

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        await tables.SettleAsync();
        await extensions.SettleAsync();
        await restore.SettleAsync();
    }
}
