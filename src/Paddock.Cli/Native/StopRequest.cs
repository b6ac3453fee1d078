namespace Paddock.Cli.Native;

/// <summary>
/// Tells an impatient second stop signal from a repeated first one: timeout(1), a closed terminal and a shell's job control send several
/// within milliseconds. Only a signal at least a second after the first asks to stop at once.
/// </summary>
/// <param name="time">The clock.</param>
internal sealed class StopRequest(TimeProvider time)
{
    /// <summary>Time after the first signal before another means "at once".</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private long? _first;
    private bool _atOnce;

    /// <summary>Notes a signal.</summary>
    /// <returns>True, once, when clients are no longer waited for.</returns>
    public bool Signal()
    {
        lock (_lock)
        {
            if (_first is not { } first)
            {
                _first = time.GetTimestamp();
                return false;
            }

            bool now = !_atOnce && time.GetElapsedTime(first) >= Patience;
            _atOnce |= now;
            return now;
        }
    }
}
