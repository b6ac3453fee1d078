using Paddock.Serving;

namespace Paddock.VhostUser;

/// <summary>Options of a vhost-user server.</summary>
public sealed record VhostUserServerOptions
{
    /// <summary>Maximum number of queues, 1 to <see cref="VhostUserLimits.MaxQueues"/>; each running queue has a thread.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Maximum time to poll an empty ring before its thread sleeps; zero: no polling. The actual time adapts.</summary>
    public TimeSpan Polling { get; init; } = TimeSpan.FromMicroseconds(32);

    /// <summary>Time limit for feature negotiation; zero: none.</summary>
    public TimeSpan HandshakeLimit { get; init; }

    /// <summary>
    /// Whether to reject memory that the front end could truncate, which would kill the whole process with every disk that it serves. A
    /// memfd that can be sealed is accepted.
    /// </summary>
    public bool SealedMemoryOnly { get; init; } = true;

    /// <summary>Serial number of the disk: 20 bytes of ASCII; more is truncated.</summary>
    public string Serial { get; init; } = "paddock";

    /// <summary>Memory for requests' data, possibly shared; null: memory of its own.</summary>
    internal SlabPool? Buffers { get; init; }

    /// <summary>Receives what happens to front ends, on their threads.</summary>
    internal Action<ClientNotice>? Notices { get; init; }

    /// <summary>Receives a log line for each front end that connects, disconnects or violates the protocol; on any thread.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
