using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Counts the table of unreadable ranges (docs/formats/paddock-extension.md). Without its autoclear bit it is stale, and its clusters
/// belong to whatever else refers to them. A repair removes a broken one from the header.
/// </summary>
internal sealed class UnreadableRangesPass(CheckContext context) : ICheckPass
{
    private const int FieldsAt = 8, FieldsBytes = 16;

    /// <summary>True when every table that the extension may name is known.</summary>
    public static bool IsKnown(byte[] data, int clusterSize, long fileLength)
        => data.Length == BlocksExtension.Size && BlocksExtension.Parse(data, clusterSize, fileLength, out _) is not null;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var image = context.Image;
        if ((image.Autoclear & (ulong)AutoclearFeatures.UnreadableRanges) == 0
            || !image.Extensions.TryGetValue(HeaderExtension.PaddockBlocks, out var data)
            || BlocksExtension.Parse(data, image.ClusterSize, long.MaxValue, out _) is not { RangesOffset.IsNone: false } extension)
        {
            return;
        }

        var offset = extension.RangesOffset;
        long bytes = UnreadableTable.SizeOf(extension.Ranges);
        var table = await context.ReadTableAsync(offset, bytes, cancellationToken);
        string? problem = "it is outside the image";
        if (table is not null && UnreadableTable.TryParse(table, out problem) is not null)
        {
            context.Count(offset, bytes);
            return;
        }

        bool repairs = context.RepairsEntries;
        context.ReportRepair(
            $"table of unreadable ranges at {offset}: {problem}{(repairs ? "; the ranges can be read again" : "")}", repairs);
        if (repairs)
        {
            data.AsSpan(FieldsAt, FieldsBytes).Clear();
            long at = image.ExtensionOffsets[HeaderExtension.PaddockBlocks] + FieldsAt;
            await context.Storage.WriteAsync(at, new byte[FieldsBytes], cancellationToken);
        }
    }
}
