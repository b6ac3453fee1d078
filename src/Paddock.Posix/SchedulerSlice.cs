using System.Globalization;
using System.Runtime.InteropServices;

namespace Paddock.Posix;

/// <summary>Time slice of threads.</summary>
internal static class SchedulerSlice
{
    /// <summary>
    /// Asks that all threads of this process, and those that they start, run in slices of this length. A thread that woke for a short while
    /// then need not wait for the whole slice, mostly 3 ms, of one that computes. Linux takes it from 6.12 on, 0.1 to 100 ms, without
    /// privileges; elsewhere nothing changes.
    /// </summary>
    public static void AskFor(TimeSpan slice)
    {
        if (!OperatingSystem.IsLinux() || Numbers is not var (get, set))
        {
            return;
        }

        foreach (string task in Tasks())
        {
            int id = int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture);
            var now = default(Native.SchedulerAttributes);
            if (Native.GetScheduler(get, id, ref now, Marshal.SizeOf<Native.SchedulerAttributes>(), 0) == 0
                && now.Policy == Native.OrdinaryPolicy)
            {
                now.Size = (uint)Marshal.SizeOf<Native.SchedulerAttributes>();
                now.Runtime = (ulong)(slice.Ticks * 100);
                _ = Native.SetScheduler(set, id, in now, 0);
            }
        }
    }

    /// <summary>The slice of the calling thread; zero if the kernel does not report it.</summary>
    public static TimeSpan OfThisThread()
    {
        var now = default(Native.SchedulerAttributes);
        return OperatingSystem.IsLinux() && Numbers is var (get, _)
            && Native.GetScheduler(get, 0, ref now, Marshal.SizeOf<Native.SchedulerAttributes>(), 0) == 0
            ? TimeSpan.FromTicks((long)now.Runtime / 100) : TimeSpan.Zero;
    }

    // sched_getattr and sched_setattr, which the C library has only lately
    private static (long Get, long Set)? Numbers => RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => (315, 314),
        Architecture.Arm64 => (275, 274),
        _ => null,
    };

    private static string[] Tasks()
    {
        try
        {
            return Directory.GetDirectories("/proc/self/task");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
