namespace Paddock.Cli.Native.Watch;

/// <summary>An event of a watched disk.</summary>
/// <param name="Time">When, in local time.</param>
/// <param name="Text">What happened.</param>
internal readonly record struct WatchEvent(DateTimeOffset Time, string Text);

/// <summary>What is known of a watched disk. A source changes it, the view shows it, both under <see cref="Lock"/>.</summary>
internal sealed class WatchModel
{
    /// <summary>Events that are kept.</summary>
    public const int MaxEvents = 256;

    private readonly List<WatchEvent> _events = [];

    /// <param name="title">Name of the disk.</param>
    /// <param name="source">Where the data come from.</param>
    /// <param name="zones">Its zones.</param>
    public WatchModel(string title, string source, ZoneStore zones) => (Title, Source, Zones) = (title, source, zones);

    /// <summary>Held while the model is read or changed.</summary>
    public Lock Lock { get; } = new();

    /// <summary>Name of the disk.</summary>
    public string Title { get; }

    /// <summary>Where the data come from.</summary>
    public string Source { get; set; }

    /// <summary>The zones.</summary>
    public ZoneStore Zones { get; private init; }

    /// <summary>The requests.</summary>
    public Traffic Traffic { get; private init; } = new();

    /// <summary>Whether the source counts the requests to each zone.</summary>
    public bool HasRequests { get; init; }

    /// <summary>Bytes written to the image file for each byte that clients wrote; null: unknown.</summary>
    public double? Amplification { get; set; }

    /// <summary>Space that the image takes, in bytes; null: unknown.</summary>
    public long? OnDisk { get; set; }

    /// <summary>State of the disk unless it is active, such as <c>standby</c>; null: it is.</summary>
    public string? Inactive { get; set; }

    /// <summary>Why there are no new data; null: there are.</summary>
    public string? Problem { get; set; }

    /// <summary>Time of the last change, in milliseconds of the source's clock.</summary>
    public long Now { get; set; }

    /// <summary>Rises with every change.</summary>
    public int Version { get; private set; }

    /// <summary>The latest events, oldest first.</summary>
    public IReadOnlyList<WatchEvent> Events => _events;

    /// <summary>Notes that something changed.</summary>
    public void Touch() => Version++;

    /// <summary>Adds an event.</summary>
    public void Add(WatchEvent added)
    {
        if (_events.Count == MaxEvents)
        {
            _events.RemoveAt(0);
        }

        _events.Add(added);
    }

    /// <summary>A copy for a paused view.</summary>
    public WatchModel Clone()
    {
        var copy = new WatchModel(Title, Source, Zones.Clone())
        {
            Traffic = Traffic.Clone(), HasRequests = HasRequests, Amplification = Amplification, OnDisk = OnDisk, Problem = Problem,
            Inactive = Inactive, Now = Now, Version = Version,
        };
        copy._events.AddRange(_events);
        return copy;
    }
}
