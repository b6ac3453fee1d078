using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Session;

/// <summary>
/// The rings of a front end, and what all of them need to run: the guest's memory, the features, the record of requests in flight. Whenever
/// one of these changes, the rings are stopped with nothing in flight, and started again. All calls come from the session's thread.
/// </summary>
internal sealed class RingSet : IDisposable
{
    private readonly VirtioBlkDevice _device;
    private readonly RingSlot[] _rings;
    private GuestMemory _memory = GuestMemory.Empty;
    private InflightMemory? _inflight;

    /// <param name="device">The disk.</param>
    /// <param name="polling">How long a worker polls an empty ring before it sleeps, at most.</param>
    /// <param name="log">Takes lines for people, on any thread.</param>
    /// <param name="longWork">The front end's share of requests that take long.</param>
    public RingSet(VirtioBlkDevice device, TimeSpan polling, Action<string> log, LongWorkClient longWork)
    {
        _device = device;
        _rings = [.. Enumerable.Range(0, device.Options.Queues).Select(i => new RingSlot(i, device, polling, log, longWork))];
    }

    /// <summary>Number of rings.</summary>
    public int Count => _rings.Length;

    /// <summary>The features that were agreed on.</summary>
    public ulong Features { get; private set; }

    /// <summary>Whether the rings have the packed layout.</summary>
    public bool IsPacked => (RingFeatureBits.Of(Features) & RingFeatures.Packed) != 0;

    /// <summary>One ring.</summary>
    /// <exception cref="VhostUserException">There is no such ring.</exception>
    public RingSlot this[long number]
        => number < _rings.Length
            ? _rings[number]
            : throw new VhostUserException("ring number", 0, $"ring {number} of {_rings.Length}");

    /// <summary>Starts a ring if everything it needs is there.</summary>
    public void Start(RingSlot ring) => ring.TryStart(_memory, Features, _inflight);

    /// <summary>Sets the features.</summary>
    /// <param name="features">Feature bits.</param>
    /// <param name="enableAll">Whether all rings are enabled, for a front end that has no message to enable them.</param>
    public void SetFeatures(ulong features, bool enableAll)
    {
        Pause();
        Features = features;
        foreach (var ring in _rings)
        {
            ring.IsEnabled |= enableAll;
        }

        Start();
    }

    /// <summary>Sets the guest's memory.</summary>
    /// <param name="memory">The memory from now on.</param>
    /// <param name="removed">Unmapped once no request can touch them.</param>
    public void SetMemory(GuestMemory memory, IEnumerable<MemorySlot> removed)
    {
        Pause();
        foreach (var slot in removed)
        {
            slot.Dispose();
        }

        _memory = memory;
        Start();
    }

    /// <summary>Sets the record of requests in flight.</summary>
    /// <param name="inflight">Owned from now on.</param>
    public void SetInflight(InflightMemory inflight)
    {
        Pause();
        _inflight?.Dispose();
        _inflight = inflight;
        if (_device.Zones is not null)
        {
            inflight.KeepNotes(_rings.Length, _device.Holds);
        }

        Start();
    }

    /// <summary>Stops and disables all rings, and forgets the features and the record. The memory stays.</summary>
    public void Reset()
    {
        foreach (var ring in _rings)
        {
            ring.Stop();
            (ring.IsEnabled, ring.Base) = (false, 0);
        }

        _inflight?.Dispose();
        (_inflight, Features) = (null, 0);
    }

    /// <summary>Ends all rings after the requests in flight.</summary>
    public void Dispose()
    {
        foreach (var ring in _rings)
        {
            ring.Dispose();
        }

        _inflight?.Dispose();
    }

    private void Pause()
    {
        foreach (var ring in _rings)
        {
            ring.Pause();
        }
    }

    private void Start()
    {
        foreach (var ring in _rings)
        {
            Start(ring);
        }
    }
}
