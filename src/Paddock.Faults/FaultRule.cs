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

    /// <summary>Block status queries.</summary>
    BlockStatus = 32,

    /// <summary>Default of a rule without a filter: all but block status.</summary>
    Default = Read | Write | WriteZeroes | Discard | Flush,
}

/// <summary>An action triggered by a named event.</summary>
internal abstract record FaultRule
{
    /// <summary>The event that triggers the rule; one of <see cref="FaultEvents"/>.</summary>
    public required string Event { get; init; }

    /// <summary>The state in which the rule applies; 0 is any. A storage starts in state 1.</summary>
    public int State { get; init; }
}

/// <summary>Fails each matching request after its event. Rules triggered by an event replace those triggered by an earlier one.</summary>
internal sealed record InjectErrorRule : FaultRule
{
    /// <summary>Operating system error number; 0 lets the request pass (a delay only).</summary>
    public int Errno { get; init; } = 5;

    /// <summary>Error class of <see cref="Errno"/>.</summary>
    public BlockError Error { get; init; } = BlockError.Io;

    /// <summary>Kinds of requests that fail.</summary>
    public FaultIo Io { get; init; } = FaultIo.Default;

    /// <summary>The only sector of 512 bytes whose requests fail; -1 is any.</summary>
    public long Sector { get; init; } = -1;

    /// <summary>Whether the rule is removed after it has failed one request.</summary>
    public bool Once { get; init; }

    /// <summary>Whether the request fails before the call returns, not from another thread later.</summary>
    public bool Immediately { get; init; }

    /// <summary>Delay of a matching request before it fails.</summary>
    public TimeSpan Delay { get; init; }
}

/// <summary>Changes the state. The new state applies once all rules of the event have run.</summary>
internal sealed record SetStateRule : FaultRule
{
    /// <summary>The new state.</summary>
    public int NewState { get; init; }
}
