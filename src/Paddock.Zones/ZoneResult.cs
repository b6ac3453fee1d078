using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Result of a request to the state machine: done, or rejected with a reason. A rejection is ordinary and changes nothing, so it is a value
/// and not an exception; <see cref="ZoneMessages"/> turns it into a message.
/// </summary>
public readonly record struct ZoneResult
{
    private readonly int _evictedPlusOne;

    private ZoneResult(ZoneError error, int zone, int evicted, bool noTransition)
    {
        Error = error;
        Zone = zone;
        _evictedPlusOne = evicted + 1;
        NoTransition = noTransition;
    }

    /// <summary>Reason for the rejection; <see cref="ZoneError.None"/> if accepted.</summary>
    public ZoneError Error { get; }

    /// <summary>Index of the zone concerned: the first one that prevents the request, or the one to be written.</summary>
    public int Zone { get; }

    /// <summary>
    /// Success, but the range of a close has EMPTY zones, which have no such transition (zoned-qcow2.md 3, note 1); <see cref="Zone"/> is
    /// the first of them.
    /// </summary>
    public bool NoTransition { get; }

    /// <summary>The implicitly open zone that was closed to free an open resource; -1 if none was.</summary>
    public int Evicted => _evictedPlusOne - 1;

    /// <summary>True if accepted.</summary>
    public bool IsOk => Error == ZoneError.None;

    /// <summary>Done.</summary>
    internal static ZoneResult Done(int zone, int evicted = -1, bool noTransition = false)
        => new(ZoneError.None, zone, evicted, noTransition);

    /// <summary>Refused.</summary>
    internal static ZoneResult Refused(ZoneError error, int zone) => new(error, zone, -1, false);
}

/// <summary>A checked range of zones, from the first to the last, both included.</summary>
/// <param name="First">Index of the first zone.</param>
/// <param name="Last">Index of the last zone; below <paramref name="First"/> when there is none to change.</param>
public readonly record struct ZoneRange(int First, int Last);
