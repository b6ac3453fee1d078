using System.Diagnostics;
using System.Threading.Tasks.Sources;
using Paddock.Posix;

namespace Paddock.Cli.Native.Bench;

/// <summary>
/// Hands out the moments at which requests are due, at a steady rate. One thread watches the clock, since the timers of the runtime are too
/// coarse, and starts the requests itself: whoever waits goes on there. Latency counted from a due moment shows a server that falls behind.
/// </summary>
internal sealed class BenchPace : IDisposable
{
    // how long the thread sleeps between two looks
    private static readonly TimeSpan Nap = TimeSpan.FromMicroseconds(20);

    private readonly Lock _lock = new();
    private readonly Queue<Waiter> _waiting = new();
    private readonly Stack<Waiter> _idle = new();
    private readonly double _ticksEach;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly Thread _thread;
    private long _taken;
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

    /// <summary>Waits for the next request's moment; a moment that has passed is given out at once.</summary>
    /// <returns>That moment, in ticks of <see cref="Stopwatch"/>.</returns>
    public ValueTask<long> NextAsync()
    {
        lock (_lock)
        {
            if (_stopped || IsDue)
            {
                return new(Take());
            }

            var waiter = _idle.TryPop(out var idle) ? idle : new Waiter(this);
            _waiting.Enqueue(waiter);
            return waiter.Task;
        }
    }

    /// <summary>The load is over: nobody waits any more.</summary>
    public void Stop() => _stopped = true;

    public void Dispose()
    {
        Stop();
        if (Thread.CurrentThread != _thread)
        {
            // who waited last may end the whole load, on this thread
            _thread.Join();
        }
    }

    private bool IsDue => DueOf(_taken + 1) <= Stopwatch.GetTimestamp();

    private long DueOf(long number) => _start + (long)(number * _ticksEach);

    private long Take() => DueOf(++_taken);

    private void Release()
    {
        while (!_stopped)
        {
            while (TryNext(out var waiter, out long due))
            {
                waiter.Set(due);
            }

            Nanosleep.For(Nap);
        }

        // nobody waits for ever
        while (TryNext(out var waiter, out long due))
        {
            waiter.Set(due);
        }
    }

    private bool TryNext(out Waiter waiter, out long due)
    {
        lock (_lock)
        {
            if ((_stopped || IsDue) && _waiting.TryDequeue(out waiter!))
            {
                due = Take();
                return true;
            }
        }

        (waiter, due) = (null!, 0);
        return false;
    }

    private void Return(Waiter waiter)
    {
        lock (_lock)
        {
            _idle.Push(waiter);
        }
    }

    private sealed class Waiter(BenchPace pace) : IValueTaskSource<long>
    {
        private ManualResetValueTaskSourceCore<long> _core;

        public ValueTask<long> Task => new(this, _core.Version);

        public void Set(long due) => _core.SetResult(due);

        public long GetResult(short token)
        {
            long due = _core.GetResult(token);
            _core.Reset();
            pace.Return(this);
            return due;
        }

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
            => _core.OnCompleted(continuation, state, token, flags);
    }
}
