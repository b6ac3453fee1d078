using System.Buffers.Binary;

namespace Paddock.Nvme.Target;

/// <summary>The clock behind the Timestamp feature, 0Eh (NVMe base 2.0, 5.27.1.10).</summary>
/// <remarks>
/// <code>
/// 0   6  milliseconds: since 1970 once the host has set it, since the controller was reset before that
/// 6   1  bit 0: Synch, the clock may have stood still; bits 3:1: origin, 0: a reset, 1: Set Features
/// 7   1  reserved
/// </code>
/// </remarks>
internal sealed class DeviceClock
{
    /// <summary>Bytes of a timestamp.</summary>
    public const int Size = 8;

    private const ulong Milliseconds = (1UL << 48) - 1, HostOrigin = 1UL << 49, StoodStill = 1UL << 48;

    // while a machine is suspended its monotonic clock stands still and its wall clock does not
    private static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(1);

    private readonly TimeProvider _time;
    private readonly long _resetAt;
    private readonly Lock _lock = new();
    private ulong _base, _origin;
    private long _setAt;
    private DateTimeOffset _setOn;

    /// <param name="time">The clock of the machine.</param>
    public DeviceClock(TimeProvider time)
    {
        _time = time;
        _resetAt = time.GetTimestamp();
        Begin(0, 0);
    }

    /// <summary>Time since the controller was reset.</summary>
    public TimeSpan SinceReset => _time.GetElapsedTime(_resetAt);

    /// <summary>Sets the time to a timestamp of the host; its attributes do not matter.</summary>
    public void Set(ReadOnlySpan<byte> timestamp) => Begin(BinaryPrimitives.ReadUInt64LittleEndian(timestamp) & Milliseconds, HostOrigin);

    /// <summary>The timestamp.</summary>
    public ulong Read()
    {
        lock (_lock)
        {
            var elapsed = _time.GetElapsedTime(_setAt);
            var walled = _time.GetUtcNow() - _setOn;
            ulong stood = walled - elapsed > Tolerance ? StoodStill : 0;
            return ((_base + (ulong)elapsed.TotalMilliseconds) & Milliseconds) | _origin | stood;
        }
    }

    private void Begin(ulong milliseconds, ulong origin)
    {
        lock (_lock)
        {
            (_base, _origin, _setAt, _setOn) = (milliseconds, origin, _time.GetTimestamp(), _time.GetUtcNow());
        }
    }
}
