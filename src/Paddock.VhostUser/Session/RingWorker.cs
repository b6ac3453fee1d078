using System.Diagnostics;
using Paddock.Posix;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Session;

/// <summary>
/// The thread of a ring that runs: it takes requests while there are some, looks for more for a short time, then sleeps until kicked.
/// </summary>
internal sealed class RingWorker : ILateCompletion, IDisposable
{
    private const int StackSize = 512 << 10;

    // requests between two looks at whether the driver wants to be told: it works while we do
    private const int Budget = 16;
    private const int SpinsBetweenLooks = 20;

    // without a kick there is nothing to wake for: a ring at rest is looked at so often
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

    /// <param name="device">Whose requests come.</param>
    /// <param name="ring">The ring.</param>
    /// <param name="features">What was agreed on.</param>
    /// <param name="kick">What the driver wakes us by; null: it does not.</param>
    /// <param name="events">What we wake the driver by.</param>
    /// <param name="polling">How long to look at an empty ring at most.</param>
    /// <param name="failed">Told when the thread has ended by itself, on that thread: the driver broke the ring.</param>
    /// <param name="longWork">The front end's share of what takes long.</param>
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

    /// <summary>Begins.</summary>
    public void Start() => _thread.Start();

    /// <summary>
    /// Takes nothing more, and waits for what is under way: afterwards nothing touches the guest's memory on behalf of this ring.
    /// </summary>
    /// <returns>The ring's base, from which it can go on.</returns>
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
            // whatever a driver brings about ends its own ring and nothing else
            _failed(e);
        }
    }

    private void Serve()
    {
        _ring.DisableNotifications();

        // a ring that was brought back may owe its driver a word for what ended before
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
