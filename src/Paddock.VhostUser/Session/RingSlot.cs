using Paddock.Posix;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Session;

/// <summary>
/// Settings of one ring, and its worker while it runs: once it is set up, from its kick to
/// GET_VRING_BASE ("Ring states"), and while it is enabled. All calls come from the session's thread.
/// </summary>
internal sealed class RingSlot(int number, VirtioBlkDevice device, TimeSpan polling, Action<string> log, LongWorkClient longWork)
    : IDisposable
{
    private readonly RingEvents _events = new();
    private EventDescriptor? _kick;
    private bool _kicked;
    private int _size;
    private RingAddresses? _addresses;
    private RingWorker? _worker;
    private volatile bool _broken;

    /// <summary>Whether it has a worker.</summary>
    public bool IsRunning => _worker is not null;

    /// <summary>Whether the front end has enabled it.</summary>
    public bool IsEnabled { get; set; }

    /// <summary>Base at which it starts.</summary>
    public uint Base { get; set; }

    /// <summary>Events that notify the driver.</summary>
    public RingEvents Events => _events;

    /// <summary>Sets the number of descriptors. Not while it runs.</summary>
    public void SetSize(int size) => (_size, _broken) = (size, false);

    /// <summary>Sets the addresses of its parts. Not while it runs.</summary>
    public void SetAddresses(RingAddresses addresses) => (_addresses, _broken) = (addresses, false);

    /// <summary>Sets the kick event, which makes the ring start. Not while it runs.</summary>
    /// <param name="kick">Owned; null: the ring is polled.</param>
    public void SetKick(EventDescriptor? kick)
    {
        _kick?.Dispose();
        (_kick, _kicked, _broken) = (kick, true, false);
    }

    /// <summary>Starts it if it is set up.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="features">Negotiated features.</param>
    /// <param name="inflight">The record of requests in flight, if one is kept.</param>
    public void TryStart(GuestMemory memory, ulong features, InflightMemory? inflight)
    {
        if (_worker is not null || !IsEnabled || !_kicked || _broken || _size == 0 || _addresses is not { } addresses)
        {
            return;
        }

        try
        {
            var kind = RingFeatureBits.Of(features);
            if ((features >> RingFeatureBits.Version1 & 1) == 0)
            {
                throw new RingException("the driver did not take VIRTIO_F_VERSION_1");
            }

            var ring = Virtqueue.Create(
                memory, kind, _size, addresses, Base, inflight?.Part(number, _size, (kind & RingFeatures.Packed) != 0));
            _worker = new RingWorker(device, ring, features, _kick, _events, polling, Fail, longWork);
            _worker.Start();
        }
        catch (Exception e) when (e is RingException or IOException or OutOfMemoryException)
        {
            // it stays stopped until the front end changes its settings
            _worker?.Dispose();
            _worker = null;
            _events.Error();
            log($"ring {number} does not start: {e.Message}");
        }
    }

    /// <summary>Stops it after its requests in flight; it can be restarted.</summary>
    public void Pause()
    {
        if (_worker is { } worker)
        {
            Base = worker.Stop();
            worker.Dispose();
            _worker = null;
        }
    }

    /// <summary>Stops it until the next kick.</summary>
    public void Stop()
    {
        Pause();
        _kick?.Dispose();
        (_kick, _kicked, _broken) = (null, false, false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _events.Dispose();
    }

    private void Fail(Exception why)
    {
        _broken = true;
        _events.Error();
        log($"ring {number} is stopped: {why.Message}");
    }
}
