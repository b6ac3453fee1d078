namespace Paddock.Serving;

/// <summary>What has happened to a client.</summary>
internal enum ClientChange
{
    /// <summary>It may use a disk.</summary>
    Connected,

    /// <summary>It was turned away before it could use a disk.</summary>
    Rejected,

    /// <summary>It was connected, and its connection has ended.</summary>
    Disconnected,
}

/// <summary>A change that servers report about a client.</summary>
/// <param name="Change">What has happened.</param>
/// <param name="Peer">Address of the client (<see cref="ClientSocket.PeerOf"/>).</param>
/// <param name="Disk">What the client uses, or asked for: an NBD export, an NVMe subsystem; empty if it named none.</param>
/// <param name="Reason">Why it was rejected, or disconnected by the server; null: the client left.</param>
internal sealed record ClientNotice(ClientChange Change, string Peer, string Disk, string? Reason = null)
{
    /// <summary>Name of an NVMe host; null for other clients.</summary>
    public string? Host { get; init; }

    /// <summary>Identifier of an NVMe controller.</summary>
    public int Controller { get; init; }

    /// <summary>Number of an NVMe queue; 0: the admin queue.</summary>
    public int Queue { get; init; }
}
