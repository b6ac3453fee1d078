using System.Diagnostics;

namespace Paddock.VhostUser.Session;

/// <summary>
/// How long a ring that has run dry is looked at before its worker sleeps. Work that comes soon after the sleep began makes it longer, work
/// that keeps everyone waiting makes it shorter, down to nothing: an idle disk costs no processor.
/// </summary>
/// <param name="longest">Its bound, in <see cref="Stopwatch"/> ticks; 0: sleep at once.</param>
internal struct PollPace(long longest)
{
    // below this a window is of no use: a wake costs about as much
    private static readonly long Shortest = Stopwatch.Frequency / 250_000;

    private long _window;
    private long _idleSince;

    /// <summary>The present window, in ticks.</summary>
    public readonly long Window => _window;

    /// <summary>Something was done.</summary>
    public void Worked() => _idleSince = 0;

    /// <summary>Nothing was there: whether to look again.</summary>
    public bool KeepsPolling(long now)
    {
        if (_idleSince == 0)
        {
            _idleSince = now;
        }

        return now - _idleSince < _window;
    }

    /// <summary>A sleep is over.</summary>
    public void Woke(long now)
    {
        long idle = now - _idleSince;
        _idleSince = 0;
        _window = idle <= longest
            ? Math.Min(longest, Math.Max(2 * _window, Shortest))
            : _window / 2 < Shortest ? 0 : _window / 2;
    }
}
