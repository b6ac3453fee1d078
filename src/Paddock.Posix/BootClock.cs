using System.Runtime.Versioning;

namespace Paddock.Posix;

/// <summary>
/// A clock that never goes back and counts the time in which the process, or the whole machine, was suspended: what a lease is judged by.
/// </summary>
[SupportedOSPlatform("linux")]
internal static class BootClock
{
    // CLOCK_BOOTTIME
    private const int Clock = 7;

    /// <summary>Nanoseconds since the machine was started.</summary>
    public static long Now
    {
        get
        {
            _ = Native.GetTime(Clock, out var time);
            return (time.Seconds * 1_000_000_000) + time.Nanoseconds;
        }
    }
}
