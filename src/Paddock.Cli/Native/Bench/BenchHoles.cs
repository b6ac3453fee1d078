using Paddock.Block;

namespace Paddock.Cli.Native.Bench;

/// <summary>Finds how much of what a load reads was never written: such reads measure the metadata, not the disk.</summary>
internal static class BenchHoles
{
    private const int Probes = 256;

    /// <summary>Share of the bytes in some parts of a disk that are not stored, 0 to 1, from a sample.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="runs">The parts.</param>
    /// <param name="length">Bytes of a probe.</param>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <returns>The share; 0 for a disk that does not report it.</returns>
    public static async ValueTask<double> ShareAsync(
        IBlockDevice device, IReadOnlyList<(long Start, long Length)> runs, int length, CancellationToken cancellationToken)
    {
        double total = runs.Sum(r => (double)r.Length);
        double before = 0;
        int probes = 0, holes = 0;
        foreach (var (start, runLength) in runs)
        {
            // evenly over all parts, each probe in the middle of its share
            while (probes < Probes && (probes + 0.5) / Probes * total is var at && at < before + runLength)
            {
                long offset = start + Math.Min((long)(at - before) / length * length, runLength - length);
                var status = await device.GetStatusAsync(offset, length, cancellationToken);
                holes += (status.Flags & BlockStatusFlags.Zero) != 0 || (status.Flags & ~BlockStatusFlags.EndOfDevice) == 0 ? 1 : 0;
                probes++;
            }

            before += runLength;
        }

        return (double)holes / Math.Max(probes, 1);
    }
}
