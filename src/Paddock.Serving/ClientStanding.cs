namespace Paddock.Serving;

/// <summary>How far a client is trusted, lowest first: when all slots are taken, the least trusted is evicted first.</summary>
internal enum ClientTrust
{
    /// <summary>Has not finished its handshake, or its authentication where that is required.</summary>
    Stranger,

    /// <summary>Has finished its handshake and sent no request since.</summary>
    Introduced,

    /// <summary>Has been served.</summary>
    Served,

    /// <summary>Never evicted: it has authenticated, or its protocol shows that it is alive.</summary>
    Kept,
}

/// <summary>Strength of a client's claim to its slot.</summary>
/// <param name="Trust">Trust level.</param>
/// <param name="IdleMilliseconds">
/// Time without a request in flight; for a client without handshake or authentication, time since it connected, so that an occasional
/// byte gains it nothing.
/// </param>
internal readonly record struct ClientStanding(ClientTrust Trust, long IdleMilliseconds);
