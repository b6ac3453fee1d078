namespace Paddock.Tools.Serve.Listeners;

/// <summary>
/// One way into the served images: a protocol with its listeners and clients. `paddock serve` has a list of them and treats all alike; the
/// images stay its own, and are flushed and closed after the last listener.
/// </summary>
internal interface IListener : IAsyncDisposable
{
    /// <summary>One word: <c>nvme</c>, <c>nbd</c>. It stands in the log, in metrics, and is the name of a socket that systemd hands over.</summary>
    string Name { get; }

    /// <summary>Where it listens, as people write it.</summary>
    IReadOnlyList<string> Addresses { get; }

    /// <summary>Clients' connections at this moment.</summary>
    int Connections { get; }

    /// <summary>Takes clients from now on.</summary>
    /// <exception cref="ToolException">It cannot listen there.</exception>
    void Open();

    /// <summary>Takes no more clients and no more requests, answers those under way, and hangs up; after the limit on whoever is left.</summary>
    Task CloseAsync(TimeSpan limit);

    /// <summary>Ends every connection at once, as a power cut would; clients may come back. It may be called while the listener closes.</summary>
    void DropConnections();

    /// <summary>Takes clients, or hangs up on those who come: a server without power.</summary>
    void Admit(bool clients);

    /// <summary>Waits until all clients are gone, and no request of theirs runs any more; no longer than the limit.</summary>
    Task GoneAsync(TimeSpan limit);

    /// <summary>Bytes that its clients wrote to a disk so far.</summary>
    long BytesWritten(ServedDisk disk);

    /// <summary>Writes its counters.</summary>
    void WriteMetrics(MetricsText page);

    /// <summary>Why a disk cannot have another size while this listener shows it; null: it can. <paramref name="length"/> is in bytes.</summary>
    string? CannotResize(ServedDisk disk, long length);

    /// <summary>Tells its clients that a disk may have another size now.</summary>
    void Resized(ServedDisk disk);

    /// <summary>Applies settings that may change while it is open.</summary>
    /// <returns>What has changed, each in a few words.</returns>
    IEnumerable<string> Reload(ServeSettings settings);
}
