using Paddock.Posix;

namespace Paddock.VhostUser.Session;

/// <summary>Events that notify a ring's driver; the front end may replace them at any time.</summary>
internal sealed class RingEvents : IDisposable
{
    private readonly Lock _lock = new();
    private EventDescriptor? _call;
    private EventDescriptor? _error;

    /// <summary>Notifies the driver of completed requests.</summary>
    public void Call()
    {
        lock (_lock)
        {
            _call?.Signal();
        }
    }

    /// <summary>Notifies the front end that the ring has failed.</summary>
    public void Error()
    {
        lock (_lock)
        {
            _error?.Signal();
        }
    }

    /// <summary>
    /// Sets the event of <see cref="Call"/>; owned. Signals it once, because requests may have completed before it was set.
    /// </summary>
    public void SetCall(EventDescriptor? call)
    {
        lock (_lock)
        {
            _call?.Dispose();
            _call = call;
            call?.Signal();
        }
    }

    /// <summary>Sets the event of <see cref="Error"/>; owned.</summary>
    public void SetError(EventDescriptor? error)
    {
        lock (_lock)
        {
            _error?.Dispose();
            _error = error;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        SetCall(null);
        SetError(null);
    }
}
