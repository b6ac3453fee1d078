using Paddock.Posix;

namespace Paddock.VhostUser.Session;

/// <summary>What a ring's driver is woken by; the front end may exchange it at any time.</summary>
internal sealed class RingEvents : IDisposable
{
    private readonly Lock _lock = new();
    private EventDescriptor? _call;
    private EventDescriptor? _error;

    /// <summary>Wakes the driver after requests were returned.</summary>
    public void Call()
    {
        lock (_lock)
        {
            _call?.Signal();
        }
    }

    /// <summary>Tells the front end that the ring is broken.</summary>
    public void Error()
    {
        lock (_lock)
        {
            _error?.Signal();
        }
    }

    /// <summary>
    /// Sets what <see cref="Call"/> signals; owned. It is signalled once, since requests may have been returned before it was set.
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

    /// <summary>Sets what <see cref="Error"/> signals; owned.</summary>
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
