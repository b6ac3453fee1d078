using System.Diagnostics;
using System.Globalization;

namespace Paddock.Cli.Native.Bench;

/// <summary>
/// Shows on standard error how far a load has come: one line that is redrawn on a terminal, a line a second elsewhere on request.
/// </summary>
internal sealed class BenchProgress : IAsyncDisposable
{
    private static readonly TimeSpan Redraw = TimeSpan.FromMilliseconds(250), Repeat = TimeSpan.FromSeconds(1);

    private readonly BenchPlan _plan;
    private readonly NativeConsole _console;
    private readonly string _what;
    private readonly Func<long> _requests;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly CancellationTokenSource _end = new();
    private readonly Task _task;

    /// <param name="plan">The load.</param>
    /// <param name="console">Receives the lines.</param>
    /// <param name="what">Name of the phase.</param>
    /// <param name="requests">Requests that have completed; called on another thread.</param>
    public BenchProgress(BenchPlan plan, NativeConsole console, string what, Func<long> requests)
    {
        _plan = plan;
        _console = console;
        _what = what;
        _requests = requests;
        _task = console.ShowsProgress || plan.ShowsProgress ? Task.Run(RunAsync) : Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _task;
        _end.Dispose();
        _console.EndProgress();
    }

    /// <summary>Text of the line.</summary>
    /// <param name="plan">The load.</param>
    /// <param name="what">Name of the phase.</param>
    /// <param name="elapsed">Time since its start.</param>
    /// <param name="requests">Requests that have completed.</param>
    internal static string Line(BenchPlan plan, string what, TimeSpan elapsed, long requests)
    {
        double done = Math.Max(elapsed / plan.Time, plan.Size == 0 ? 0 : (double)requests * plan.BlockSize / plan.Size);
        double rate = requests / Math.Max(elapsed.TotalSeconds, 1e-3);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {Math.Min(done, 1) * 100:0}%, {rate:0} IOPS, {rate * plan.BlockSize / (1 << 20):0.0} MiB/s");
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(_console.ShowsProgress ? Redraw : Repeat);
        try
        {
            do
            {
                string line = Line(_plan, _what, Stopwatch.GetElapsedTime(_start), _requests());
                if (_console.ShowsProgress)
                {
                    _console.ProgressLine(line);
                }
                else
                {
                    await _console.Error.WriteLineAsync(line);
                }
            }
            while (await timer.WaitForNextTickAsync(_end.Token));
        }
        catch (OperationCanceledException)
        {
            // the load has ended
        }
    }
}
