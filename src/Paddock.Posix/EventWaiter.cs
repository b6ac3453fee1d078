using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>
/// Waits for any of some events to be signalled since the last wait (epoll(7), edge-triggered): none is read, so that one which another
/// process reads as well cannot block this one, and a wake costs one call.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe class EventWaiter : IDisposable
{
    private const int EventSize = 16;

    private readonly SafeFileHandle _epoll;

    /// <exception cref="IOException">The process has no descriptor left.</exception>
    public EventWaiter()
    {
        int descriptor = Native.CreateEpoll(Native.EpollCloseOnExec);
        _epoll = descriptor >= 0
            ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw new IOException($"an epoll cannot be had: {Errno.Describe(Marshal.GetLastPInvokeError())}");
    }

    /// <summary>
    /// Adds an event; if its counter is above 0 already, the next wait ends at once. The event must outlive its use here.
    /// </summary>
    /// <exception cref="IOException">The event cannot be waited for.</exception>
    public void Add(EventDescriptor waited)
    {
        // struct epoll_event is packed on x86 only: with no data in it, 16 bytes will do everywhere
        byte* wanted = stackalloc byte[EventSize];
        *(ulong*)wanted = Native.EpollIn | Native.EpollEdge;
        if (Native.ControlEpoll(_epoll, Native.EpollAdd, waited.Handle, wanted) < 0)
        {
            throw new IOException($"an event cannot be waited for: {Errno.Describe(Marshal.GetLastPInvokeError())}");
        }
    }

    /// <summary>Waits.</summary>
    /// <param name="milliseconds">Timeout; -1 for none.</param>
    public void Wait(int milliseconds)
    {
        byte* found = stackalloc byte[2 * EventSize];
        _ = Native.WaitEpoll(_epoll, found, 2, milliseconds);
    }

    /// <inheritdoc/>
    public void Dispose() => _epoll.Dispose();
}
