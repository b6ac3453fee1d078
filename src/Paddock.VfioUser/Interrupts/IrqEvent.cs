using Paddock.Posix;

namespace Paddock.VfioUser.Interrupts;

/// <summary>The event of one interrupt, which the client may replace at any time.</summary>
internal sealed class IrqEvent
{
    private readonly Lock _lock = new();
    private EventDescriptor? _event;

    /// <summary>Signals the event; false if it is not set.</summary>
    public bool TrySignal()
    {
        lock (_lock)
        {
            _event?.Signal();
            return _event is not null;
        }
    }

    /// <summary>Replaces the event; owned.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Set(EventDescriptor? next)
    {
        EventDescriptor? before;
        lock (_lock)
        {
            (before, _event) = (_event, next);
        }

        before?.Dispose();
        return before is not null;
    }
}
