using System.Diagnostics;

namespace Paddock.Serving;

/// <summary>
/// Whether requests run on the loop that receives them. They do while the device answers from memory; once one had to wait for a disk,
/// those after it run elsewhere, side by side, and from time to time one is tried here again.
/// </summary>
internal struct InlinePace
{
    private const int AwayFor = 256;

    // one slow request may be a thread that lost its processor; two with hardly a fast one between them are a disk
    private const int Step = 8, Recovery = 4, Limit = 2 * Step;

    // far above what a copy of the longest such request takes, and below what a disk does
    private static readonly long Slow = Stopwatch.Frequency / 20_000;

    private int _away;
    private int _score;

    /// <summary>Whether the next request runs here.</summary>
    public bool IsHere => _away == 0 || --_away == 0;

    /// <summary>A point in time, for <see cref="Took"/>.</summary>
    public static long Now => Stopwatch.GetTimestamp();

    /// <summary>A request ran here from then until now.</summary>
    public void Took(long since)
    {
        bool slow = Now - since > Slow;
        _score = slow ? Math.Min(_score + Step, Limit) : Math.Max(_score - Recovery, 0);
        if (slow && _score == Limit)
        {
            _away = AwayFor;
        }
    }
}
