using System.Diagnostics;
using Paddock.Posix;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Session;

/// <summary>
/// The thread of a running ring: it takes requests while any are available, polls for a short time, then sleeps until kicked.
/// </summary>
internal sealed class RingWorker : ILateCompletion, IDisposable
{
    private const int StackSize = 512 << 10;

    // requests between two checks for a due notification, so that driver and device work in parallel
    private const int Budget = 16;
    private const int SpinsBetweenLooks = 20;

    // polling interval of an idle ring without a kick event
    private const int RestMilliseconds = 1;

    private readonly Virtqueue _ring;
    private readonly BlkQueue _requests;
    private readonly RingEvents _events;
    private readonly Action<Exception> _failed;
    private readonly EventDescriptor _stop = EventDescriptor.Create();
    private readonly EventWaiter _waiter;
    private readonly Thread _thread;
    private readonly bool _hasKick;
    private PollPace _pace;
    private volatile bool _stopping;

    /// <param name="device">The device.</param>
    /// <param name="ring">The ring.</param>
    /// <param name="features">Negotiated features.</param>
    /// <param name="kick">Kick event; null: the ring is polled.</param>
    /// <param name="events">Events that notify the driver.</param>
    /// <param name="polling">Maximum time to poll an empty ring.</param>
    /// <param name="failed">Called on the thread when it ends because the driver corrupted the ring.</param>
    /// <param name="longWork">The front end's share of long requests.</param>
    /// <exception cref="IOException">There is no descriptor left.</exception>
    public RingWorker(
        VirtioBlkDevice device, Virtqueue ring, ulong features, EventDescriptor? kick, RingEvents events, TimeSpan polling,
        Action<Exception> failed,
        LongWorkClient longWork)
    {
        (_ring, _events, _failed, _hasKick) = (ring, events, failed, kick is not null);
        _requests = new BlkQueue(device, ring, features, this, longWork);
        _pace = new PollPace((long)(polling.TotalSeconds * Stopwatch.Frequency));
        try
        {
            _waiter = new EventWaiter();
            _waiter.Add(_stop);
            if (kick is not null)
            {
                _waiter.Add(kick);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        _thread = new Thread(Run, StackSize) { IsBackground = true, Name = "vhost-user ring" };
    }

    /// <summary>Starts the thread.</summary>
    public void Start() => _thread.Start();

    /// <summary>
    /// Stops taking requests and waits for those in flight; the ring does not use the guest's memory after that.
    /// </summary>
    /// <returns>The base at which the ring can resume.</returns>
    public uint Stop()
    {
        _stopping = true;
        _stop.Signal();
        if (_thread.IsAlive)
        {
            _thread.Join();
        }

        _ring.CloseAsync().GetAwaiter().GetResult();
        return _ring.Base;
    }

    /// <inheritdoc/>
    public void Completed(Virtqueue ring)
    {
        if (ring.ShouldNotify())
        {
            _events.Call();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _waiter?.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        try
        {
            Serve();
        }
        catch (Exception e)
        {
            // an exception caused by a driver ends only its own ring
            _failed(e);
        }
    }

    private void Serve()
    {
        _ring.DisableNotifications();

        // a reopened ring may owe its driver a notification from before
        Completed(_ring);
        while (!_stopping)
        {
            int taken;
            try
            {
                taken = _requests.Run(Budget);
            }
            catch (RingException)
            {
                Completed(_ring);
                throw;
            }

            if (taken > 0)
            {
                _pace.Worked();
                Completed(_ring);
            }
            else if (_pace.KeepsPolling(Stopwatch.GetTimestamp()))
            {
                Thread.SpinWait(SpinsBetweenLooks);
            }
            else if (!_ring.EnableNotifications())
            {
                _waiter.Wait(_hasKick ? -1 : RestMilliseconds);
                _pace.Woke(Stopwatch.GetTimestamp());
                _ring.DisableNotifications();
            }
            else
            {
                _ring.DisableNotifications();
            }
        }
    }
}
