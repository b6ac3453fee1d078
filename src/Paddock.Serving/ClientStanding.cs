namespace Paddock.Serving;

/// <summary>What a client has shown of itself, the least first: when all slots are taken, the least goes first.</summary>
internal enum ClientTrust
{
    /// <summary>It has not finished its handshake, or not authenticated where it must.</summary>
    Stranger,

    /// <summary>It has introduced itself, and asked for nothing since.</summary>
    Introduced,

    /// <summary>It has been served.</summary>
    Served,

    /// <summary>It is never evicted: it has authenticated, or shows by itself that it is alive.</summary>
    Kept,
}

/// <summary>How much a client has a claim to its slot.</summary>
/// <param name="Trust">What it has shown of itself.</param>
/// <param name="IdleMilliseconds">
/// For how long nothing is under way; of a stranger: since it connected, so that it gains nothing by a byte now and then.
/// </param>
internal readonly record struct ClientStanding(ClientTrust Trust, long IdleMilliseconds);
