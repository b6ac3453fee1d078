using System.Diagnostics;

namespace Paddock.Serving;

/// <summary>
/// Decides whether requests run on the loop that receives them. They do while the device answers from memory; once a request has waited for
/// a disk, later ones run elsewhere, concurrently, and from time to time one is tried on the loop again.
/// </summary>
internal struct InlinePace
{
    private const int AwayFor = 256;

    // one slow request may be a preempted thread; two with hardly a fast one between them are a disk
    private const int Step = 8, Recovery = 4, Limit = 2 * Step;

    // far above the time to copy the longest such request, and below that of a disk
    private static readonly long Slow = Stopwatch.Frequency / 20_000;

    private int _away;
    private int _score;

    /// <summary>Whether the next request runs on the loop.</summary>
    public bool IsHere => _away == 0 || --_away == 0;

    /// <summary>Start time, for <see cref="Took(long)"/>.</summary>
    public static long Now => Stopwatch.GetTimestamp();

    /// <summary>Records a request that ran on the loop from that time until now.</summary>
    public void Took(long since) => Took(since, Now, Slow);

    /// <summary>The same for a request that ended at a known time.</summary>
    public void Took(long since, long until) => Took(since, until, Slow);

    /// <summary>The same for a request that may take longer without waiting for a disk.</summary>
    /// <param name="since">When it started.</param>
    /// <param name="until">When it ended.</param>
    /// <param name="limit">Most ticks of a request that has not waited.</param>
    public void Took(long since, long until, long limit)
    {
        bool slow = until - since > limit;
        _score = slow ? Math.Min(_score + Step, Limit) : Math.Max(_score - Recovery, 0);
        if (slow && _score == Limit)
        {
            _away = AwayFor;
        }
    }
}
