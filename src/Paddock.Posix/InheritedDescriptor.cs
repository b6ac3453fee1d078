using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>A descriptor that the process was started with, by its number.</summary>
internal sealed class InheritedDescriptor : IDisposable
{
    private const int GetFlags = 1, SetFlags = 2, CloseOnExec = 1;

    private readonly SafeFileHandle _handle;

    private InheritedDescriptor(SafeFileHandle handle) => _handle = handle;

    /// <summary>Takes a descriptor over; programs started from here do not inherit it.</summary>
    /// <returns>Null if the process was started without it.</returns>
    public static InheritedDescriptor? Take(int number)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        // the runtime's own descriptors are close-on-exec, inherited ones never are
        int flags = Native.ControlDescriptor(number, GetFlags, 0);
        if (flags < 0 || (flags & CloseOnExec) != 0)
        {
            return null;
        }

        _ = Native.ControlDescriptor(number, SetFlags, CloseOnExec);
        return new InheritedDescriptor(new SafeFileHandle(number, ownsHandle: number > 2));
    }

    /// <summary>Writes all bytes; a reader that has gone is not an error.</summary>
    public unsafe void Write(ReadOnlySpan<byte> data)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        fixed (byte* start = data)
        {
            for (nint done = 0; done < data.Length;)
            {
                nint count = Native.Write(_handle, start + done, (nuint)(data.Length - done));
                if (count < 0 && Marshal.GetLastPInvokeError() != Native.Interrupted)
                {
                    return;
                }

                done += Math.Max(count, 0);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
