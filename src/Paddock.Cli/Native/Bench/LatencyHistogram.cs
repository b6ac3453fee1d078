using System.Numerics;

namespace Paddock.Cli.Native.Bench;

/// <summary>
/// Counts of latencies in classes that are at most 1/64 wide of what they hold, so that a quantile is right to 1.6 %; counting allocates
/// nothing. Not for several threads at once.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 6;

    private readonly long[] _counts = new long[(64 - SubBits) << SubBits];
    private long _sum;

    public long Count { get; private set; }

    /// <summary>The longest, in nanoseconds.</summary>
    public long Max { get; private set; }

    /// <summary>In nanoseconds; 0 where nothing was counted.</summary>
    public double Mean => Count == 0 ? 0 : (double)_sum / Count;

    public void Add(long nanoseconds)
    {
        nanoseconds = Math.Max(0, nanoseconds);
        _counts[ClassOf(nanoseconds)]++;
        Count++;
        _sum += nanoseconds;
        Max = Math.Max(Max, nanoseconds);
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }

        Count += other.Count;
        _sum += other._sum;
        Max = Math.Max(Max, other.Max);
    }

    /// <summary>The latency, in nanoseconds, that a share of all did not exceed.</summary>
    public long Quantile(double share)
    {
        long wanted = (long)Math.Ceiling(share * Count), seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= wanted && seen > 0)
            {
                return Math.Min(Max, UpperOf(i));
            }
        }

        return 0;
    }

    private static int ClassOf(long value)
    {
        int shift = Math.Max(0, BitOperations.Log2((ulong)value) - SubBits);
        return (shift << SubBits) + (int)(value >> shift);
    }

    // classes from 2 << SubBits on hold 2^shift values each
    private static long UpperOf(int index)
    {
        int shift = Math.Max(0, (index >> SubBits) - 1);
        long first = index - ((long)shift << SubBits);
        return ((first + 1) << shift) - 1;
    }
}
