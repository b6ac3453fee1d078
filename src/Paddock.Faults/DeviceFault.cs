using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Kinds of requests, as a filter of <see cref="DeviceFault"/>.</summary>
[Flags]
internal enum DeviceOperations
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Reads.</summary>
    Read = 1,

    /// <summary>Writes of data at an offset.</summary>
    Write = 2,

    /// <summary>Zone appends.</summary>
    Append = 4,

    /// <summary>Writes of zeroes.</summary>
    Zeroes = 8,

    /// <summary>Discards.</summary>
    Discard = 16,

    /// <summary>Flushes; a listener also flushes for a write with FUA.</summary>
    Flush = 32,

    /// <summary>Zones opened.</summary>
    Open = 64,

    /// <summary>Zones closed.</summary>
    Close = 128,

    /// <summary>Zones finished.</summary>
    Finish = 256,

    /// <summary>Zones reset.</summary>
    Reset = 512,

    /// <summary>Zone reports; a listener may also inspect a zone before it manages it.</summary>
    Report = 1024,

    /// <summary>All zone management requests.</summary>
    Manage = Open | Close | Finish | Reset,

    /// <summary>Everything.</summary>
    Any = Read | Write | Append | Zeroes | Discard | Flush | Manage | Report,
}

/// <summary>Action of a rule on a matching request.</summary>
internal enum DeviceFaultAction
{
    /// <summary>Fails it, after the delay.</summary>
    Fail,

    /// <summary>Delays it.</summary>
    Delay,

    /// <summary>Holds it until it is released.</summary>
    Hang,
}

/// <summary>
/// A fault rule. Of the requests that pass its filters, it matches the <see cref="Nth"/> and every <see cref="Every"/>-th after it,
/// <see cref="Count"/> in all.
/// </summary>
internal sealed record DeviceFault
{
    /// <summary>Filter by kind.</summary>
    public DeviceOperations Operations { get; init; } = DeviceOperations.Any;

    /// <summary>Action on matching requests.</summary>
    public DeviceFaultAction Action { get; init; }

    /// <summary>First matching request, counted from 1 since the rule was added.</summary>
    public long Nth { get; init; } = 1;

    /// <summary>Interval between matching requests; 1: all.</summary>
    public long Every { get; init; } = 1;

    /// <summary>Number of matching requests; 0: unlimited.</summary>
    public long Count { get; init; } = 1;

    /// <summary>Probability that a request which would match does so, above 0 to 1.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>Seed of the random choice by <see cref="Probability"/>.</summary>
    public int Seed { get; init; }

    /// <summary>First byte of the range that a request must touch. A flush passes whatever the range.</summary>
    public long Offset { get; init; }

    /// <summary>Length of that range (the rest of the device by default).</summary>
    public long Length { get; init; } = long.MaxValue;

    /// <summary>Error class of the failure.</summary>
    public BlockError Error { get; init; } = BlockError.Io;

    /// <summary>Operating system error number; 0: that of the class.</summary>
    public int Errno { get; init; }

    /// <summary>
    /// Protocol-specific status, which only that protocol's server understands; null: the status that <see cref="Error"/> maps to.
    /// </summary>
    public Enum? Answer { get; init; }

    /// <summary>Delay before the action.</summary>
    public TimeSpan Delay { get; init; }
}

/// <summary>A rule and its counters.</summary>
/// <param name="Id">Number of the rule, from 1 on.</param>
/// <param name="Fault">The rule.</param>
/// <param name="Seen">Requests that passed the filters.</param>
/// <param name="Hits">Requests that matched.</param>
/// <param name="Waiting">Requests currently held.</param>
/// <param name="Spent">Whether it will match no more requests.</param>
internal sealed record DeviceFaultState(int Id, DeviceFault Fault, long Seen, long Hits, int Waiting, bool Spent);
