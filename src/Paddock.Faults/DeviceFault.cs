using Paddock.Block;

namespace Paddock.Faults;

/// <summary>What a client may ask of a device, as a filter of <see cref="DeviceFault"/>.</summary>
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

    /// <summary>Reports of zones; a listener may also look at a zone's condition before it manages it.</summary>
    Report = 1024,

    /// <summary>What changes a zone's condition by request.</summary>
    Manage = Open | Close | Finish | Reset,

    /// <summary>Everything.</summary>
    Any = Read | Write | Append | Zeroes | Discard | Flush | Manage | Report,
}

/// <summary>What becomes of a request that a rule meets.</summary>
internal enum DeviceFaultAction
{
    /// <summary>It fails, after the rule's delay.</summary>
    Fail,

    /// <summary>It waits, then runs.</summary>
    Delay,

    /// <summary>It waits until it is released, then runs.</summary>
    Hang,
}

/// <summary>
/// One fault on demand. Of the requests that fit, the <see cref="Nth"/> is met, and each <see cref="Every"/>-th after it, until
/// <see cref="Count"/> were.
/// </summary>
internal sealed record DeviceFault
{
    /// <summary>Which requests fit.</summary>
    public DeviceOperations Operations { get; init; } = DeviceOperations.Any;

    /// <summary>What becomes of those that are met.</summary>
    public DeviceFaultAction Action { get; init; }

    /// <summary>The first that is met, counted from 1 since the rule was made.</summary>
    public long Nth { get; init; } = 1;

    /// <summary>From then on each such one; 1 is all.</summary>
    public long Every { get; init; } = 1;

    /// <summary>How many are met; 0: all from then on.</summary>
    public long Count { get; init; } = 1;

    /// <summary>How likely one that would be met is, above 0 to 1.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>Of the choice by <see cref="Probability"/>.</summary>
    public int Seed { get; init; }

    /// <summary>Only requests that touch the bytes from here on fit. A flush touches none: it fits whatever the range.</summary>
    public long Offset { get; init; }

    /// <summary>Length of that range; the default is all.</summary>
    public long Length { get; init; } = long.MaxValue;

    /// <summary>The class that a failure has.</summary>
    public BlockError Error { get; init; } = BlockError.Io;

    /// <summary>The operating system's number for it; 0: the class's own.</summary>
    public int Errno { get; init; }

    /// <summary>A protocol's own answer, which only its server understands; null: the one that <see cref="Error"/> maps to.</summary>
    public Enum? Answer { get; init; }

    /// <summary>How long a request waits first.</summary>
    public TimeSpan Delay { get; init; }
}

/// <summary>A rule and what it did so far.</summary>
/// <param name="Id">Its number, from 1 on.</param>
/// <param name="Fault">The rule.</param>
/// <param name="Seen">Requests that fitted.</param>
/// <param name="Hits">Requests that were met.</param>
/// <param name="Waiting">Requests that it holds now.</param>
/// <param name="Spent">Whether it has met all that it was to meet.</param>
internal sealed record DeviceFaultState(int Id, DeviceFault Fault, long Seen, long Hits, int Waiting, bool Spent);
