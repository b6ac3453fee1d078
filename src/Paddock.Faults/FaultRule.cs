using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Kinds of requests, as a filter.</summary>
[Flags]
internal enum FaultIo
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Reads.</summary>
    Read = 1,

    /// <summary>Writes of data.</summary>
    Write = 2,

    /// <summary>Writes of zeroes.</summary>
    WriteZeroes = 4,

    /// <summary>Discards.</summary>
    Discard = 8,

    /// <summary>Flushes.</summary>
    Flush = 16,

    /// <summary>Questions for block status.</summary>
    BlockStatus = 32,

    /// <summary>What a rule without a filter covers: all but block status.</summary>
    Default = Read | Write | WriteZeroes | Discard | Flush,
}

/// <summary>Something to do when a named event happens.</summary>
internal abstract record FaultRule
{
    /// <summary>The event that sets the rule off; one of <see cref="FaultEvents"/>.</summary>
    public required string Event { get; init; }

    /// <summary>The state in which the rule holds; 0 is any. A storage starts in state 1.</summary>
    public int State { get; init; }
}

/// <summary>
/// From its event on, fails each request that fits. Rules that an event sets off replace those that an earlier event did.
/// </summary>
internal sealed record InjectErrorRule : FaultRule
{
    /// <summary>The operating system's error number; 0 lets the request pass (a delay only).</summary>
    public int Errno { get; init; } = 5;

    /// <summary>The class that goes with <see cref="Errno"/>.</summary>
    public BlockError Error { get; init; } = BlockError.Io;

    /// <summary>Which requests fail.</summary>
    public FaultIo Io { get; init; } = FaultIo.Default;

    /// <summary>Fail only requests that touch this sector of 512 bytes; -1 is any request.</summary>
    public long Sector { get; init; } = -1;

    /// <summary>Fail one request, then forget the rule.</summary>
    public bool Once { get; init; }

    /// <summary>Fail before the call returns, not from another thread later.</summary>
    public bool Immediately { get; init; }

    /// <summary>How long a request that fits waits before it fails.</summary>
    public TimeSpan Delay { get; init; }
}

/// <summary>Goes to another state. The new state holds once all rules of the event are done.</summary>
internal sealed record SetStateRule : FaultRule
{
    /// <summary>The state to go to.</summary>
    public int NewState { get; init; }
}
