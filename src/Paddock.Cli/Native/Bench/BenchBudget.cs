using System.Diagnostics;

namespace Paddock.Cli.Native.Bench;

/// <summary>How much all connections together may still do.</summary>
/// <param name="plan">Its limits.</param>
/// <param name="pace">When requests are due; null: at once.</param>
/// <param name="cancellationToken">Ends the load early.</param>
internal sealed class BenchBudget(BenchPlan plan, BenchPace? pace, CancellationToken cancellationToken)
{
    private readonly long _end = Stopwatch.GetTimestamp() + (long)(plan.Time.TotalSeconds * Stopwatch.Frequency);
    private long _left = plan.Size == 0 ? long.MaxValue : Math.Max(1, plan.Size / plan.BlockSize);

    public BenchPace? Pace => pace;

    public bool IsOver => cancellationToken.IsCancellationRequested || Stopwatch.GetTimestamp() >= _end;

    /// <summary>Takes leave for one request; false when the load is over.</summary>
    public bool TryTake() => !IsOver && Interlocked.Decrement(ref _left) >= 0;
}
