using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Makes repairs durable, discards freed clusters and clears the feature bits that a repair has settled.</summary>
internal sealed class CompletionPass(CheckContext context, FreedClusters freed) : ICheckPass
{
    /// <summary>Bitmaps and raw external data: what they vouch for stays true in a repair.</summary>
    private const ulong KnownAutoclear = 3 | (ulong)AutoclearFeatures.UnreadableRanges;

    private const ulong DirtyOrCorrupt = 3;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var image = context.Image;
        context.Report.ImageEndOffset = context.EndOfUsed.Value;
        if (context.Repair == Qcow2Repair.None)
        {
            return;
        }

        await context.Storage.FlushAsync(cancellationToken);
        await freed.DiscardAsync(cancellationToken);
        if ((image.Autoclear & ~KnownAutoclear) != 0)
        {
            // whatever they vouch for may be untrue after a repair
            await image.WriteAutoclearAsync(image.Autoclear & KnownAutoclear, cancellationToken);
        }

        if (context.Report is { CheckErrors: 0, Corruptions: 0 } && (image.Incompatible & DirtyOrCorrupt) != 0)
        {
            // last, when all that they warned of is durable
            await image.WriteIncompatibleAsync(image.Incompatible & ~DirtyOrCorrupt, cancellationToken);
        }
    }
}
