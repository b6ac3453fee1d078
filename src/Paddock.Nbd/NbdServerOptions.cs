using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>Whether clients go through TLS.</summary>
public enum TlsMode
{
    /// <summary>Never.</summary>
    Off,

    /// <summary>Those that ask for it.</summary>
    Allowed,

    /// <summary>All: nothing is told to a client before.</summary>
    Required,
}

/// <summary>How a server serves.</summary>
public sealed record NbdServerOptions
{
    /// <summary>Connections at a time, at least 1; further clients wait to be taken. Each has a thread of its own.</summary>
    public int MaxConnections { get; init; } = 64;

    /// <summary>How long a client may take from its connection to its first request.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>After how much silence a client with nothing under way is taken for dead; zero: never.</summary>
    public TimeSpan IdleLimit { get; init; }

    /// <summary>
    /// After how much silence a client with nothing under way may be hung up on, when all connections are taken and another client waits;
    /// zero: never. One that has presented a certificate never is.
    /// </summary>
    public TimeSpan IdleEviction { get; init; }

    /// <summary>Memory for requests and replies, where several servers share it; null for one without a limit.</summary>
    internal SlabPool? Buffers { get; init; }

    /// <summary>How long a stop waits for requests that are under way before it drops their connections.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether one client may use several connections: what one flushes is durable for all.</summary>
    public bool MultiConn { get; init; } = true;

    /// <summary>Whether clients go through TLS.</summary>
    public TlsMode Tls { get; init; }

    /// <summary>The certificates; needed unless <see cref="Tls"/> is off.</summary>
    public TlsCredentials? Credentials { get; init; }

    /// <summary>Called when a client is hung up on so that another gets its connection.</summary>
    internal Action? Evicted { get; init; }

    /// <summary>Takes a line for people about each client that came, left or was refused.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>The newest form of replies that is offered: tests have a client fall back.</summary>
    internal Wire.HeaderForm Newest { get; init; } = Wire.HeaderForm.Extended;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
