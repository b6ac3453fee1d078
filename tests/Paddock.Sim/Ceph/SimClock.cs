namespace Paddock.Sim.Ceph;

/// <summary>The clock of a process: goes on while the process is stopped, a little too fast or too slow.</summary>
/// <param name="process">The process, which runs the timers.</param>
/// <param name="drift">Millionths by which it is too fast.</param>
internal sealed class SimClock(SimProcess process, int drift) : TimeProvider
{
    private const double Million = 1e6;

    private readonly double _rate = 1 + (drift / Million);

    /// <inheritdoc/>
    public override long TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public override long GetTimestamp() => (long)(process.Time.Now * 1000 * _rate);

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddMicroseconds(process.Time.Now * _rate);

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ProcessTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class ProcessTimer(SimClock clock, TimerCallback callback, object? state) : ITimer
    {
        private readonly SimClock _clock = clock;
        private int _set;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            int set = ++_set;
            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                Schedule(set, dueTime, period);
            }

            return true;
        }

        public void Dispose() => _set++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }

        private void Schedule(int set, TimeSpan delay, TimeSpan period)
        {
            var process = _clock.Process;
            process.Time.After((long)(delay.TotalMicroseconds / _clock.Rate), process, () =>
            {
                if (set != _set)
                {
                    return;
                }

                if (period > TimeSpan.Zero)
                {
                    Schedule(set, period, period);
                }

                callback(state);
            });
        }
    }

    private SimProcess Process => process;

    private double Rate => _rate;
}
