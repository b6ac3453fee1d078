namespace Paddock.Serving;

/// <summary>
/// One client of a server, as far as the server's end concerns it. Both calls may come from any thread, and more than once.
/// </summary>
internal interface IServedClient
{
    /// <summary>How much it has a claim to its slot, when another client waits for one.</summary>
    ClientStanding Standing { get; }

    /// <summary>Takes no more requests, answers those under way, and ends by itself; does not wait for that.</summary>
    void Finish();

    /// <summary>Ends at once.</summary>
    void Abort();
}
