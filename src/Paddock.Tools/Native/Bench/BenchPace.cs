using System.Diagnostics;
using Paddock.Posix;

namespace Paddock.Tools.Native;

/// <summary>
/// Hands out the moments at which requests are due, at a steady rate; waiting callers are woken by one thread, since the timers of the runtime
/// are too coarse. Latency counted from a due moment shows a server that falls behind.
/// </summary>
internal sealed class BenchPace : IDisposable
{
    // how long the thread sleeps between two looks
    private static readonly TimeSpan Nap = TimeSpan.FromMicroseconds(50);

    private readonly SemaphoreSlim _due = new(0);
    private readonly double _ticksEach;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly Thread _thread;
    private long _taken, _released;
    private volatile bool _stopped;

    /// <param name="rate">Requests a second.</param>
    public BenchPace(double rate)
    {
        _ticksEach = Stopwatch.Frequency / rate;
        _thread = new Thread(Release) { IsBackground = true, Name = "bench pace" };
        _thread.Start();
    }

    /// <summary>When it began.</summary>
    public long Started => _start;

    /// <summary>Waits for the next request's moment.</summary>
    /// <returns>That moment, in ticks of <see cref="Stopwatch"/>.</returns>
    public async ValueTask<long> NextAsync()
    {
        await _due.WaitAsync();
        return _start + (long)(Interlocked.Increment(ref _taken) * _ticksEach);
    }

    /// <summary>The load is over: nobody waits any more.</summary>
    public void Stop() => _stopped = true;

    public void Dispose()
    {
        Stop();
        _thread.Join();
    }

    private void Release()
    {
        while (!_stopped)
        {
            int count = (int)Math.Min(int.MaxValue, (long)((Stopwatch.GetTimestamp() - _start) / _ticksEach) - _released);
            if (count > 0)
            {
                _released += count;
                _due.Release(count);
            }

            Nanosleep.For(Nap);
        }

        // nobody waits for ever
        _due.Release(1 << 20);
    }
}
