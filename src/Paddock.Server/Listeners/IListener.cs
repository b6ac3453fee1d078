using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Server.Standby;

namespace Paddock.Server.Listeners;

/// <summary>
/// A protocol with its listening sockets and clients. `paddock serve` owns the images; it flushes and closes them after the last listener
/// is closed.
/// </summary>
internal interface IListener : IAsyncDisposable
{
    /// <summary>
    /// Name in the log, in metrics and of sockets passed by systemd: <c>nvme</c>, <c>nbd</c>, <c>vhost-user</c> or <c>vfio-user</c>.
    /// </summary>
    string Name { get; }

    /// <summary>Addresses, as shown to users.</summary>
    IReadOnlyList<string> Addresses { get; }

    /// <summary>Where clients reach each disk; valid after <see cref="Open"/>.</summary>
    IReadOnlyList<ServedEndpoint> Endpoints { get; }

    /// <summary>Current number of connections.</summary>
    int Connections { get; }

    /// <summary>Starts accepting clients.</summary>
    /// <exception cref="ToolException">Cannot listen on an address.</exception>
    void Open();

    /// <summary>
    /// Stops accepting clients and requests, completes requests in flight and disconnects; at the limit, disconnects the rest.
    /// </summary>
    Task CloseAsync(TimeSpan limit);

    /// <summary>
    /// Closes every connection immediately, as a power cut does; clients may reconnect. Can be called during <see cref="CloseAsync"/>.
    /// </summary>
    void DropConnections();

    /// <summary>Accepts new clients, or disconnects them at once (the server has no power).</summary>
    void Admit(bool clients);

    /// <summary>Waits, up to the limit, until all clients are disconnected and none of their requests is running.</summary>
    Task GoneAsync(TimeSpan limit);

    /// <summary>Total bytes that clients of this listener have written to a disk.</summary>
    long BytesWritten(ServedDisk disk);

    /// <summary>Writes its counters.</summary>
    void WriteMetrics(MetricsText page);

    /// <summary>
    /// Reason why a disk cannot be resized to <paramref name="length"/> bytes while this listener serves it; null: it can.
    /// </summary>
    string? CannotResize(ServedDisk disk, long length);

    /// <summary>Notifies clients that the size of a disk may have changed.</summary>
    void Resized(ServedDisk disk);

    /// <summary>
    /// Announces a state before <see cref="Show"/>, and completes when clients are prepared, or at the limit. Requests run meanwhile.
    /// </summary>
    /// <param name="disk">The disk.</param>
    /// <param name="state">
    /// Standby: clients that can wait for another server stop sending requests. Active: clients may look at the disk before they use it.
    /// </param>
    /// <param name="limit">How long it may take.</param>
    Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit);

    /// <summary>
    /// Shows clients whether this server serves the data of a disk; called before requests fail, and after they succeed again.
    /// </summary>
    /// <param name="disk">The disk.</param>
    /// <param name="state">What clients may see now; a disk that is about to be handed over is still active by itself.</param>
    void Show(ServedDisk disk, DiskState state);

    /// <summary>
    /// Disconnects the clients of a disk that another server is about to serve, unless its protocol can tell them so
    /// (<see cref="Show"/>): they reconnect when a server is active, and see no error.
    /// </summary>
    void Disconnect(ServedDisk disk);

    /// <summary>Applies the settings that can change at run time.</summary>
    /// <returns>A short description of each change.</returns>
    IEnumerable<string> Reload(ServeSettings settings);
}
