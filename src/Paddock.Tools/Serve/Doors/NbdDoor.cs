using Paddock.Nbd;

namespace Paddock.Tools.Serve.Doors;

/// <summary>The images as NBD exports, each under its name.</summary>
internal sealed class NbdDoor : IDoor
{
    private readonly NbdServer _server;
    private readonly IReadOnlyList<DoorListener> _listeners;

    public NbdDoor(ServeSettings settings, IReadOnlyList<ServedDisk> disks, IReadOnlyList<DoorListener> listeners)
    {
        _listeners = listeners;
        _server = new NbdServer(new NbdServerOptions { MaxConnections = settings.MaxConnections }, ExportsOf(disks));
    }

    /// <inheritdoc/>
    public string Name => "nbd";

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => [.. _listeners.Select(l => l.Address)];

    /// <inheritdoc/>
    public int Connections => _server.Statistics.Connections;

    /// <inheritdoc/>
    public void Open()
    {
        foreach (var listener in _listeners)
        {
            _server.Listen(listener.Socket);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        foreach (var listener in _listeners)
        {
            listener.Remove();
        }
    }

    /// <inheritdoc/>
    public Task CloseAsync(TimeSpan limit) => _server.StopAsync(limit);

    /// <inheritdoc/>
    public void DropConnections() => _server.DropConnections();

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page)
    {
        var done = _server.Statistics;
        page.Counter("paddock_nbd_requests_total", "Requests that NBD clients sent.", done.Requests);
        page.Counter("paddock_nbd_bytes_total", "Bytes that NBD clients asked for.", done.BytesRead, ("kind", "read"));
        page.Counter("paddock_nbd_bytes_total", "Bytes that NBD clients asked for.", done.BytesWritten, ("kind", "write"));
        page.Counter("paddock_nbd_connections_accepted_total", "Connections that NBD clients made.", done.Accepted);
        page.Counter("paddock_nbd_connections_refused_total", "NBD connections that were ended for a fault of the client.", done.Refused);
    }

    private static IEnumerable<NbdExport> ExportsOf(IReadOnlyList<ServedDisk> disks)
    {
        foreach (var disk in disks)
        {
            yield return new NbdExport { Name = disk.Name, Device = disk.Node.Device, ReadOnly = disk.Settings.ReadOnly };
        }

        // a client that names no export gets the only one
        if (disks is [{ Name.Length: > 0 } only])
        {
            yield return new NbdExport { Name = "", Device = only.Node.Device, ReadOnly = only.Settings.ReadOnly };
        }
    }
}
