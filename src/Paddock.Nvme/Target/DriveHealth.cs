using System.Diagnostics;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>What a drive counts over its life.</summary>
internal sealed record HealthTotals
{
    /// <summary>Bytes read by hosts.</summary>
    public long BytesRead { get; init; }

    /// <summary>Bytes written by hosts.</summary>
    public long BytesWritten { get; init; }

    /// <summary>Successful read commands.</summary>
    public long Reads { get; init; }

    /// <summary>Successful write commands: Write, Zone Append and Write Zeroes.</summary>
    public long Writes { get; init; }

    /// <summary>Time with at least one I/O command in flight.</summary>
    public TimeSpan Busy { get; init; }

    /// <summary>Time since the drive was switched on, of all power cycles.</summary>
    public TimeSpan PowerOn { get; init; }

    /// <summary>Starts of the server, and power cuts.</summary>
    public long PowerCycles { get; init; }

    /// <summary>Power cuts, and ends of the server without a shutdown.</summary>
    public long UnsafeShutdowns { get; init; }

    /// <summary>Commands that failed because the medium did.</summary>
    public long MediaErrors { get; init; }
}

/// <summary>Counts the life of the drive that a subsystem is.</summary>
internal sealed class DriveHealth(NvmeSubsystem subsystem)
{
    private readonly long _startedAt = Stopwatch.GetTimestamp();
    private readonly Lock _lock = new();
    private HealthTotals _before = new() { PowerCycles = 1 };
    private long _busyTicks, _busyUntil, _mediaErrors;

    /// <summary>Continues the counts of earlier power cycles.</summary>
    /// <param name="before">Their totals, with the present power cycle.</param>
    public void Continue(HealthTotals before)
    {
        lock (_lock)
        {
            _before = before;
        }
    }

    /// <summary>Counts a power cut.</summary>
    public void CountPowerCut()
    {
        lock (_lock)
        {
            _before = _before with { PowerCycles = _before.PowerCycles + 1, UnsafeShutdowns = _before.UnsafeShutdowns + 1 };
        }
    }

    /// <summary>Keeps the counts of a namespace that is removed.</summary>
    public void Retire(NvmeNamespace ns)
    {
        lock (_lock)
        {
            _before = Add(_before, ns.Statistics);
        }
    }

    /// <summary>Counts a command that failed because the medium did.</summary>
    public void CountMediaError() => Interlocked.Increment(ref _mediaErrors);

    /// <summary>
    /// Counts the time of a completed I/O command as busy, but for what earlier completions have counted. If commands overlap, time before
    /// the first completion may be missing: at most one latency after each idle time.
    /// </summary>
    /// <param name="startedAt">When it began, as <see cref="Stopwatch"/> has it.</param>
    /// <param name="now">When it ended.</param>
    public void CountBusy(long startedAt, long now)
    {
        long until = Volatile.Read(ref _busyUntil);
        while (now > until)
        {
            long seen = Interlocked.CompareExchange(ref _busyUntil, now, until);
            if (seen == until)
            {
                Interlocked.Add(ref _busyTicks, now - Math.Max(startedAt, until));
                return;
            }

            until = seen;
        }
    }

    /// <summary>The totals.</summary>
    public HealthTotals Totals()
    {
        lock (_lock)
        {
            var sum = _before with
            {
                Busy = _before.Busy + Stopwatch.GetElapsedTime(0, Volatile.Read(ref _busyTicks)),
                PowerOn = _before.PowerOn + Stopwatch.GetElapsedTime(_startedAt),
                MediaErrors = _before.MediaErrors + Volatile.Read(ref _mediaErrors),
            };
            return subsystem.Namespaces.Aggregate(sum, static (all, ns) => Add(all, ns.Statistics));
        }
    }

    private static HealthTotals Add(HealthTotals all, RequestCounters s) => all with
    {
        BytesRead = all.BytesRead + s.BytesRead,
        BytesWritten = all.BytesWritten + s.BytesWritten,
        Reads = all.Reads + s[ServedOperation.Read],
        Writes = all.Writes + s.Sum(ServedOperation.Write, ServedOperation.Append, ServedOperation.Zeroes),
    };
}
