using System.Buffers;

namespace Paddock.Block;

/// <summary>Iteration over zones.</summary>
public static class ZoneWalk
{
    private const int Batch = 512;

    /// <summary>Whether a set has a condition.</summary>
    public static bool Has(this ZoneConditionSet set, ZoneCondition condition) => ((uint)set >> (int)condition & 1) != 0;

    /// <summary>Describes all zones, in order.</summary>
    /// <param name="zones">The zones.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="BlockException">The device failed the report.</exception>
    public static async ValueTask<ZoneDescriptor[]> ReportAllAsync(this IZones zones, CancellationToken cancellationToken = default)
    {
        var limits = zones.Limits;
        var all = new ZoneDescriptor[limits.ZoneCount];
        int filled = 0;
        while (filled < all.Length)
        {
            int got = await zones.ReportAsync(filled * limits.ZoneSize, all.AsMemory(filled), cancellationToken);
            if (got == 0)
            {
                break;
            }

            filled += got;
        }

        return filled == all.Length ? all : all[..filled];
    }

    /// <summary>Finds zones by reports of all: for devices without a faster way.</summary>
    public static async ValueTask<ZoneFindings> FindAsync(
        IBlockDevice device, long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count,
        CancellationToken cancellationToken)
    {
        var batch = ArrayPool<ZoneDescriptor>.Shared.Rent(Batch);
        try
        {
            int filled = 0, matching = 0;
            while (offset < device.Length && (count || filled < zones.Length))
            {
                cancellationToken.ThrowIfCancellationRequested();
                int got = await device.Zones!.ReportAsync(offset, batch.AsMemory(0, Batch), cancellationToken);
                for (int i = 0; i < got; i++)
                {
                    if (!which.Has(batch[i].Condition))
                    {
                        continue;
                    }

                    matching++;
                    if (filled < zones.Length)
                    {
                        zones.Span[filled++] = batch[i];
                    }
                }

                if (got == 0)
                {
                    break;
                }

                offset = batch[got - 1].Start + batch[got - 1].Length;
            }

            return new ZoneFindings(filled, count ? matching : filled);
        }
        finally
        {
            ArrayPool<ZoneDescriptor>.Shared.Return(batch);
        }
    }
}
