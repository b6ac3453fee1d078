using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>Whether clients go through TLS.</summary>
public enum TlsMode
{
    /// <summary>TLS is disabled.</summary>
    Off,

    /// <summary>TLS is optional for clients.</summary>
    Allowed,

    /// <summary>TLS is required before any other option.</summary>
    Required,
}

/// <summary>Options of an NBD server.</summary>
public sealed record NbdServerOptions
{
    /// <summary>Maximum number of connections, at least 1; further clients wait. Each connection has a thread of its own.</summary>
    public int MaxConnections { get; init; } = 64;

    /// <summary>Time limit from the connection to the first request.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Idle time after which a client with nothing in flight is disconnected; zero: never.</summary>
    public TimeSpan IdleLimit { get; init; }

    /// <summary>
    /// Idle time after which a client with nothing in flight may be disconnected if the connection limit is reached and another client
    /// waits; zero: never. A client that has presented a certificate is never disconnected.
    /// </summary>
    public TimeSpan IdleEviction { get; init; }

    /// <summary>Memory for requests and replies, if shared by several servers; null for memory of its own without a limit.</summary>
    internal SlabPool? Buffers { get; init; }

    /// <summary>How long a stop waits for requests in flight before it drops their connections.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether a client may use several connections: a flush on one covers the writes of all.</summary>
    public bool MultiConn { get; init; } = true;

    /// <summary>Whether clients go through TLS.</summary>
    public TlsMode Tls { get; init; }

    /// <summary>Credentials; required unless <see cref="Tls"/> is off.</summary>
    public TlsCredentials? Credentials { get; init; }

    /// <summary>
    /// Whether a client may use the server, by the distinguished name in its certificate or the username of its key; null for all that TLS
    /// accepts. Called on the thread of the connection.
    /// </summary>
    internal Func<string, bool>? Authorize { get; init; }

    /// <summary>Receives what happens to clients, on their threads.</summary>
    internal Action<ClientNotice>? Notices { get; init; }

    /// <summary>Called when a client is disconnected to free its slot for another.</summary>
    internal Action? Evicted { get; init; }

    /// <summary>Receives a log line for each client that connects, disconnects or is rejected.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Newest form of replies to offer; for tests of a client's fallback.</summary>
    internal Wire.HeaderForm Newest { get; init; } = Wire.HeaderForm.Extended;

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
