using System.Diagnostics;
using Paddock.Nvme.Target;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Raises interrupts for batches of completions: one for each vector, or, where the host lets completions be aggregated, one for so many or
/// after so long. Used by the worker only.
/// </summary>
/// <param name="interrupts">Interrupts of the function.</param>
/// <param name="settings">The features of interrupts.</param>
/// <param name="vectors">Number of vectors.</param>
internal sealed class VectorSignals(IInterrupts interrupts, InterruptSettings settings, int vectors)
{
    private static readonly long TimeUnit = Stopwatch.Frequency / 10_000;

    private readonly int[] _pending = new int[vectors];
    private readonly long[] _since = new long[vectors];
    private readonly int[] _due = new int[vectors];
    private int _dueCount;

    /// <summary>Whether the pin is used.</summary>
    public bool UsesPin => !interrupts.IsMessageSignalled;

    /// <summary>Whether completions wait for more of them.</summary>
    public bool IsWaiting => _dueCount > 0;

    /// <summary>Entries of a completion queue have been written.</summary>
    public void Add(int vector, int completions)
    {
        if (_pending[vector] == 0)
        {
            _due[_dueCount++] = vector;
        }

        _pending[vector] += completions;
    }

    /// <summary>Raises the interrupts that are due.</summary>
    public void Flush()
    {
        int kept = 0;
        for (int i = 0; i < _dueCount; i++)
        {
            int vector = _due[i];
            if (MustWait(vector))
            {
                _due[kept++] = vector;
                continue;
            }

            _pending[vector] = 0;
            _since[vector] = 0;
            if (interrupts.IsMessageSignalled)
            {
                interrupts.Raise(vector);
            }
        }

        _dueCount = kept;
    }

    private bool MustWait(int vector)
    {
        uint aggregation = settings.Aggregation;
        int threshold = (int)(aggregation & 0xFF), time = (int)(aggregation >> 8);
        if (threshold == 0 || time == 0 || _pending[vector] > threshold || !settings.IsCoalesced(vector))
        {
            return false;
        }

        long now = Stopwatch.GetTimestamp();
        if (_since[vector] == 0)
        {
            _since[vector] = now;
        }

        return now - _since[vector] < time * TimeUnit;
    }
}
