namespace Paddock.Posix;

/// <summary>Sleep that is finer than the runtime's timers, which count milliseconds.</summary>
internal static class Nanosleep
{
    /// <summary>Gives the processor up for so long, and about 50 us more; returns early when a signal comes.</summary>
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
