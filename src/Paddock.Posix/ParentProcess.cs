using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// The process that started this one. A pidfd reports its end; PR_SET_PDEATHSIG would also report the end of the thread that started us,
/// which runtimes with thread pools end at any time.
/// </summary>
[SupportedOSPlatform("linux")]
internal static class ParentProcess
{
    /// <summary>Calls <paramref name="ended"/> once, on a thread of its own, when the parent has ended.</summary>
    /// <param name="ended">The call.</param>
    /// <exception cref="BlockException">The kernel does not support it (Linux 5.3 does).</exception>
    public static unsafe void Watch(Action ended)
    {
        const long openProcess = 434;
        int descriptor = (int)Native.OpenProcess(openProcess, Native.ParentId(), 0);
        if (descriptor < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            const int noSuchProcess = 3;
            if (errno == noSuchProcess)
            {
                ended();
                return;
            }

            throw Errno.Failure(errno, "cannot watch the parent process");
        }

        var thread = new Thread(() =>
        {
            using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
            var entry = new Native.PollEntry { Descriptor = descriptor, Wanted = Native.PollIn };
            while (Native.Poll(&entry, 1, -1) <= 0)
            {
            }

            ended();
        })
        {
            IsBackground = true,
            Name = "parent",
        };
        thread.Start();
    }
}
