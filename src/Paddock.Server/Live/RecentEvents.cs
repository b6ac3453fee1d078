namespace Paddock.Server.Live;

/// <summary>The last events of a server: what its log has, and zones that were lost. All members are thread-safe.</summary>
internal sealed class RecentEvents(TimeProvider time)
{
    /// <summary>Maximum number of events that are kept.</summary>
    public const int Kept = 256;

    private const int MaxFacts = 16, MaxText = 512;

    private readonly Lock _lock = new();
    private readonly LiveEvent?[] _events = new LiveEvent?[Kept];
    private long _next = 1;

    /// <summary>Raised after an event was added, on the thread that adds it.</summary>
    public event Action<LiveEvent>? Added;

    /// <summary>Adds an event; long values are cut.</summary>
    public void Add(string what, params ReadOnlySpan<(string Name, string Value)> facts)
    {
        var kept = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in facts[..Math.Min(facts.Length, MaxFacts)])
        {
            kept[name] = value.Length > MaxText ? value[..MaxText] + "…" : value;
        }

        long now = time.GetUtcNow().ToUnixTimeMilliseconds();
        LiveEvent added;
        lock (_lock)
        {
            _events[_next % Kept] = added = new LiveEvent { Number = _next, TimeMs = now, Event = what, Facts = kept };
            _next++;
        }

        Added?.Invoke(added);
    }

    /// <summary>The kept events after one.</summary>
    /// <param name="number">Number of the last event that is known; 0: none.</param>
    public LiveEvent[] After(long number)
    {
        lock (_lock)
        {
            long first = Math.Max(number + 1, Math.Max(1, _next - Kept));
            var after = new LiveEvent[Math.Max(0, _next - first)];
            for (int i = 0; i < after.Length; i++)
            {
                after[i] = _events[(first + i) % Kept]!;
            }

            return after;
        }
    }
}
