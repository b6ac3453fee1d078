namespace Paddock.Serving;

/// <summary>
/// One client of a server, as far as the server's end concerns it. Both calls may come from any thread, and more than once.
/// </summary>
internal interface IServedClient
{
    /// <summary>Priority of its claim to its slot when another client waits for one.</summary>
    ClientStanding Standing { get; }

    /// <summary>Stops accepting requests, completes those in flight and ends by itself; does not wait for that.</summary>
    void Finish();

    /// <summary>Ends immediately.</summary>
    void Abort();
}
