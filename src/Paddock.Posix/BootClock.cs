using System.Runtime.Versioning;

namespace Paddock.Posix;

/// <summary>
/// A clock that never goes back and counts the time in which the process, or the whole machine, was suspended: what a lease is judged by.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class BootClock : TimeProvider
{
    // CLOCK_BOOTTIME
    private const int Clock = 7;

    private const long Second = 1_000_000_000;

    private BootClock()
    {
    }

    /// <summary>The clock.</summary>
    public static BootClock Instance { get; } = new();

    /// <inheritdoc/>
    public override long TimestampFrequency => Second;

    /// <summary>Nanoseconds since the machine was started.</summary>
    public override long GetTimestamp()
    {
        _ = Native.GetTime(Clock, out var time);
        return (time.Seconds * Second) + time.Nanoseconds;
    }
}
