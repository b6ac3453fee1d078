using Paddock.Serving;

namespace Paddock.VhostUser;

/// <summary>How a disk is served.</summary>
public sealed record VhostUserServerOptions
{
    /// <summary>Queues that a front end may use, 1 to <see cref="VhostUserLimits.MaxQueues"/>; each that runs has a thread.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>How long an empty ring is looked at before its thread sleeps, at most; zero: not at all. It adapts itself.</summary>
    public TimeSpan Polling { get; init; } = TimeSpan.FromMicroseconds(32);

    /// <summary>After so long a front end that has not agreed on features is sent away; zero: never.</summary>
    public TimeSpan HandshakeLimit { get; init; }

    /// <summary>
    /// Whether memory is refused that the front end could cut short: it would end the whole process, with every disk that it serves. A
    /// memfd that can be sealed is accepted.
    /// </summary>
    public bool SealedMemoryOnly { get; init; } = true;

    /// <summary>What the disk answers when it is asked for its name: 20 bytes of ASCII; more is cut off.</summary>
    public string Serial { get; init; } = "paddock";

    /// <summary>Memory for requests' data, shared with whoever else has it; null: memory of its own.</summary>
    internal SlabPool? Buffers { get; init; }

    /// <summary>Takes a line for people about each front end that came, left or broke a rule; on any thread.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
