namespace Paddock.Posix;

/// <summary>Sleep with a finer resolution than the runtime's timers, which count milliseconds.</summary>
internal static class Nanosleep
{
    /// <summary>Yields the processor for the given time, and about 50 us more; returns early on a signal.</summary>
    public static void For(TimeSpan time)
    {
        if (!OperatingSystem.IsLinux())
        {
            Thread.Yield();
            return;
        }

        var wanted = new Native.TimeSpec { Seconds = time.Ticks / TimeSpan.TicksPerSecond,
            Nanoseconds = time.Ticks % TimeSpan.TicksPerSecond * 100 };
        _ = Native.Sleep(in wanted, 0);
    }
}
