namespace Paddock.Qcow2.Engine;

/// <summary>
/// Wakes the upkeep while freed clusters take space, and never otherwise: an image that has nothing to return costs no timer.
/// </summary>
/// <param name="clock">Tells the time.</param>
/// <param name="period">From one wake to the next.</param>
internal sealed class PunchTimer(TimeProvider clock, TimeSpan period) : IDisposable
{
    private readonly SemaphoreSlim _ticks = new(0, 1);
    private readonly Lock _lock = new();
    private ITimer? _timer;
    private bool _armed;

    /// <summary>Makes the timer, which is not armed. Without it, <see cref="Arm"/> does nothing.</summary>
    public void Start()
        => _timer ??= clock.CreateTimer(
            static state => ((PunchTimer)state!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>Clusters take space: ticks come from now on. Under the image's metadata mutex.</summary>
    public void Arm()
    {
        if (!_armed && _timer is not null)
        {
            _armed = true;
            _timer.Change(period, period);
        }
    }

    /// <summary>Nothing takes space any more. Under the image's metadata mutex.</summary>
    public void Disarm()
    {
        if (_armed)
        {
            _armed = false;
            _timer!.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Completes at the next tick; at once when one has passed since the last call.</summary>
    public Task WaitAsync(CancellationToken cancellationToken) => _ticks.WaitAsync(cancellationToken);

    public void Dispose()
    {
        _timer?.Dispose();
        lock (_lock)
        {
            _ticks.Dispose();
            _timer = null;
        }
    }

    private void Tick()
    {
        lock (_lock)
        {
            // a late callback may meet a timer that is disposed
            if (_timer is not null && _ticks.CurrentCount == 0)
            {
                _ticks.Release();
            }
        }
    }
}
