using Paddock.Posix;

namespace Paddock.VfioUser.Interrupts;

/// <summary>
/// INTx: a level. The event is signalled when it becomes asserted, which masks it; the client unmasks it after each interrupt, and if it
/// is still asserted then, the event is signalled again: not before the level follows what the host has read, since Linux disables a line
/// with interrupts that nothing explains.
/// </summary>
internal sealed class PinInterrupt
{
    private readonly Lock _lock = new();
    private readonly IrqEvent _event = new();
    private bool _asserted, _masked, _isUnmasking, _disabled;
    private long _raised;

    /// <summary>Number of interrupts so far.</summary>
    public long Raised => Interlocked.Read(ref _raised);

    /// <summary>The level.</summary>
    public bool IsAsserted
    {
        get
        {
            lock (_lock)
            {
                return _asserted;
            }
        }
    }

    /// <summary>Sets the level.</summary>
    public void Set(bool asserted)
    {
        lock (_lock)
        {
            _asserted = asserted;
            SignalIfDue();
        }
    }

    /// <summary>Whether the driver disables it in the command register.</summary>
    public void SetDisabled(bool disabled)
    {
        lock (_lock)
        {
            _disabled = disabled;
            SignalIfDue();
        }
    }

    /// <summary>Masks it, or begins to unmask it.</summary>
    public void SetMask(bool masked)
    {
        lock (_lock)
        {
            _masked |= masked;
            _isUnmasking = !masked;
        }
    }

    /// <summary>Completes an unmasking: the level is current.</summary>
    public void Unmask()
    {
        lock (_lock)
        {
            if (_isUnmasking)
            {
                _isUnmasking = _masked = false;
                SignalIfDue();
            }
        }
    }

    /// <summary>Replaces the event; owned. A new event is not masked.</summary>
    public void SetEvent(EventDescriptor? next)
    {
        lock (_lock)
        {
            _event.Set(next);
            _isUnmasking = _masked = false;
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
        if (_asserted && !_masked && !_disabled && _event.TrySignal())
        {
            _masked = true;
            Interlocked.Increment(ref _raised);
        }
    }
}
