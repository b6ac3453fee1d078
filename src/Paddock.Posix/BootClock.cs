namespace Paddock.Posix;

/// <summary>
/// A clock that never goes back and counts the time in which the process, or the whole machine, was suspended: what a lease is judged by.
/// </summary>
internal sealed class BootClock : TimeProvider
{
    // CLOCK_BOOTTIME
    private const int Clock = 7;

    private const long Second = 1_000_000_000;

    private BootClock()
    {
    }

    /// <summary>The clock; where the system has none, the system's usual one.</summary>
    public static TimeProvider Instance { get; } = OperatingSystem.IsLinux() ? new BootClock() : System;

    /// <inheritdoc/>
    public override long TimestampFrequency => Second;

    /// <summary>Nanoseconds since the machine was started.</summary>
    public override long GetTimestamp()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException();
        }

        _ = Native.GetTime(Clock, out var time);
        return (time.Seconds * Second) + time.Nanoseconds;
    }
}
