namespace Paddock.Serving;

/// <summary>
/// One client of a server, as seen by the shutdown and eviction of clients. Both methods may be called from any thread, and repeatedly.
/// </summary>
internal interface IServedClient
{
    /// <summary>Strength of the claim to its slot when another client waits for one.</summary>
    ClientStanding Standing { get; }

    /// <summary>Stops accepting requests, completes those in flight and then disconnects; returns without waiting.</summary>
    void Finish();

    /// <summary>Disconnects immediately.</summary>
    void Abort();
}
