using System.Diagnostics;

namespace Paddock.Serving;

/// <summary>
/// How long empty queues are polled before their worker sleeps. Work soon after the start of a sleep makes it longer, work
/// that arrives late makes it shorter, down to zero: an idle disk uses no processor time.
/// </summary>
/// <param name="longest">Maximum, in <see cref="Stopwatch"/> ticks; 0: sleep immediately.</param>
internal struct PollPace(long longest)
{
    // a shorter window is useless: a wake-up costs about as much
    private static readonly long Shortest = Stopwatch.Frequency / 250_000;

    private long _window;
    private long _idleSince;

    /// <summary>Current window, in ticks.</summary>
    public readonly long Window => _window;

    /// <summary>Records that work was found.</summary>
    public void Worked() => _idleSince = 0;

    /// <summary>Records that no work was found, and returns whether to poll again.</summary>
    public bool KeepsPolling(long now)
    {
        if (_idleSince == 0)
        {
            _idleSince = now;
        }

        return now - _idleSince < _window;
    }

    /// <summary>Records the end of a sleep.</summary>
    public void Woke(long now)
    {
        long idle = now - _idleSince;
        _idleSince = 0;
        _window = idle <= longest
            ? Math.Min(longest, Math.Max(2 * _window, Shortest))
            : _window / 2 < Shortest ? 0 : _window / 2;
    }
}
