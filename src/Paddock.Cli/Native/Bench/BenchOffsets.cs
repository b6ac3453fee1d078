using Paddock.Block;
using Paddock.Images;

namespace Paddock.Cli.Native.Bench;

/// <summary>
/// Where a connection's requests go. Sequential loads of several connections take turns: zone by zone on a zoned disk, each connection a
/// share of its own elsewhere. Guarded by its caller.
/// </summary>
internal sealed class BenchOffsets
{
    private readonly BenchPlan _plan;
    private readonly Random _random;
    private readonly List<(long Start, long Length)> _runs;
    private readonly long[] _ends;
    private int _run;
    private long _at;
    private bool _again;

    /// <param name="plan">What is done.</param>
    /// <param name="runs">The parts of the disk that this connection uses; each at least a request long.</param>
    /// <param name="index">The connection.</param>
    public BenchOffsets(BenchPlan plan, List<(long Start, long Length)> runs, int index)
    {
        _plan = plan;
        _runs = runs;
        _random = new Random(plan.Seed + index);
        _ends = new long[runs.Count];
        long total = 0;
        for (int i = 0; i < runs.Count; i++)
        {
            _ends[i] = total += runs[i].Length / plan.BlockSize;
        }
    }

    /// <summary>The parts of the disk.</summary>
    public IReadOnlyList<(long Start, long Length)> Runs => _runs;

    /// <summary>Offset of the next request, and whether it restarts a range: a zone must be reset first.</summary>
    public (long Offset, bool StartsAgain) Next()
    {
        if (_plan.Operation is BenchOperation.RandomRead or BenchOperation.RandomWrite)
        {
            long block = _random.NextInt64(_ends[^1]);
            int found = Array.BinarySearch(_ends, block + 1);
            found = found < 0 ? ~found : found;
            return (_runs[found].Start + ((block - (found == 0 ? 0 : _ends[found - 1])) * _plan.BlockSize), false);
        }

        if (_at + _plan.BlockSize > _runs[_run].Length)
        {
            _at = 0;
            _run = (_run + 1) % _runs.Count;
            _again |= _run == 0;
        }

        long offset = _runs[_run].Start + _at;
        bool starts = _again && _at == 0;
        _at += _plan.BlockSize;
        return (offset, starts);
    }

    /// <summary>The parts of a plain disk, or of one whose zones do not matter, that a connection uses.</summary>
    public static List<(long Start, long Length)> OfDisk(BenchPlan plan, long length, int index)
    {
        bool random = plan.Operation is BenchOperation.RandomRead or BenchOperation.RandomWrite;
        long share = random ? length : length / plan.Connections / plan.BlockSize * plan.BlockSize;
        return share < plan.BlockSize
            ? throw new ToolException(
                $"the disk ({length} bytes) is too small for {plan.Connections} connections with requests of {plan.BlockSize} bytes")
            : [(random ? 0 : index * share, share)];
    }

    /// <summary>The zones that a connection writes, in order.</summary>
    public static List<(long Start, long Length)> ToWrite(BenchPlan plan, ReadOnlySpan<ZoneDescriptor> zones, int index)
    {
        var runs = new List<(long Start, long Length)>();
        int turn = 0;
        foreach (var zone in zones)
        {
            bool usable = zone.Type != ZoneType.Conventional && zone.Condition is not (ZoneCondition.ReadOnly or ZoneCondition.Offline)
                && zone.Capacity >= plan.BlockSize;
            if (usable && turn++ % plan.Connections == index)
            {
                runs.Add((zone.Start, zone.Capacity));
            }
        }

        return runs.Count > 0
            ? runs
            : throw new ToolException(
                $"{plan.Connections} connections require {plan.Connections} writable zones of at least {plan.BlockSize} bytes: the disk "
                    + $"has {turn}");
    }

    /// <summary>Whether a zoned disk holds anything that the load can read.</summary>
    public static bool IsAnythingWritten(BenchPlan plan, ReadOnlySpan<ZoneDescriptor> zones) => WrittenRuns(plan, zones).Count > 0;

    /// <summary>What is written on a zoned disk; the whole disk where nothing is.</summary>
    public static List<(long Start, long Length)> ToRead(BenchPlan plan, ReadOnlySpan<ZoneDescriptor> zones, long length, int index)
        => WrittenRuns(plan, zones) is { Count: > 0 } runs ? runs : OfDisk(plan, length, index);

    private static List<(long Start, long Length)> WrittenRuns(BenchPlan plan, ReadOnlySpan<ZoneDescriptor> zones)
    {
        var runs = new List<(long Start, long Length)>();
        foreach (var zone in zones)
        {
            long end = zone.Condition == ZoneCondition.Full ? zone.Start + zone.Capacity : zone.WritePointer;
            long written = zone.Type == ZoneType.Conventional ? zone.Capacity : end - zone.Start;
            if (written >= plan.BlockSize && zone.Condition != ZoneCondition.Offline)
            {
                runs.Add((zone.Start, written));
            }
        }

        return runs;
    }
}
