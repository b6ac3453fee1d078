using Paddock.Posix;

namespace Paddock.VfioUser.Interrupts;

/// <summary>
/// INTx: a level. The event is signalled when it becomes asserted, which masks it; the client unmasks it after each interrupt, and if it
/// is still asserted then, the event is signalled again.
/// </summary>
internal sealed class PinInterrupt
{
    private readonly Lock _lock = new();
    private readonly IrqEvent _event = new();
    private bool _asserted, _masked;
    private long _raised;

    /// <summary>Number of interrupts so far.</summary>
    public long Raised => Interlocked.Read(ref _raised);

    /// <summary>Sets the level.</summary>
    public void Set(bool asserted)
    {
        lock (_lock)
        {
            _asserted = asserted;
            SignalIfDue();
        }
    }

    /// <summary>Masks or unmasks it.</summary>
    public void SetMask(bool masked)
    {
        lock (_lock)
        {
            _masked = masked;
            SignalIfDue();
        }
    }

    /// <summary>Replaces the event; owned. A new event is not masked.</summary>
    public void SetEvent(EventDescriptor? next)
    {
        lock (_lock)
        {
            _event.Set(next);
            _masked = false;
            SignalIfDue();
        }
    }

    /// <summary>Signals the event whatever the level.</summary>
    public void Trigger()
    {
        if (_event.TrySignal())
        {
            Interlocked.Increment(ref _raised);
        }
    }

    private void SignalIfDue()
    {
        if (_asserted && !_masked && _event.TrySignal())
        {
            _masked = true;
            Interlocked.Increment(ref _raised);
        }
    }
}
