using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>An eventfd (eventfd(2)): a counter that one process raises and another waits for.</summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe class EventDescriptor : IDisposable
{
    /// <param name="handle">An eventfd; owned from now on, also when this throws.</param>
    /// <exception cref="IOException">The descriptor is not an eventfd.</exception>
    public EventDescriptor(SafeFileHandle handle)
    {
        Handle = handle;
        if (!IsEvent(handle))
        {
            handle.Dispose();
            throw new IOException("a descriptor for events must be an eventfd");
        }
    }

    /// <summary>The descriptor itself.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>A new eventfd at 0, close-on-exec, non-blocking.</summary>
    /// <exception cref="IOException">The process has no descriptor left.</exception>
    public static EventDescriptor Create()
    {
        int descriptor = Native.CreateEvent(0, Native.EventCloseOnExec | Native.EventNonBlocking);
        return descriptor >= 0
            ? new EventDescriptor(new SafeFileHandle(descriptor, ownsHandle: true))
            : throw new IOException($"an eventfd cannot be had: {Errno.Describe(Marshal.GetLastPInvokeError())}");
    }

    /// <summary>Adds 1, or nothing if the counter is full: its waiter is woken anyway. Never blocks.</summary>
    public void Signal()
    {
        // another process shares the blocking mode and may change it at any time: a full counter would block us
        if (!IsReady(Native.PollOut))
        {
            return;
        }

        ulong one = 1;
        while (Native.Write(Handle, &one, sizeof(ulong)) < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted)
        {
        }
    }

    /// <summary>Resets the counter to 0.</summary>
    /// <returns>Its previous value; 0 if it was not signalled.</returns>
    public ulong Take()
    {
        ulong count = 0;
        return IsReady(Native.PollIn) && Native.Read(Handle, &count, sizeof(ulong)) == sizeof(ulong) ? count : 0;
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    private static bool IsEvent(SafeFileHandle handle)
        => new FileInfo($"/proc/self/fd/{handle.DangerousGetHandle()}").LinkTarget == "anon_inode:[eventfd]";

    private bool IsReady(short what)
    {
        var entry = new Native.PollEntry { Descriptor = (int)Handle.DangerousGetHandle(), Wanted = what };
        return Native.Poll(&entry, 1, 0) == 1 && (entry.Found & what) != 0;
    }
}
