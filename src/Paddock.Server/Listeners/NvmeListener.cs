using System.Net;
using Paddock.Nvme;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Server.Standby;

namespace Paddock.Server.Listeners;

/// <summary>Serves NVMe subsystems over TCP.</summary>
internal sealed class NvmeListener : INvmeListener
{
    private readonly ServeLog _log;
    private readonly IReadOnlyList<ListeningSocket> _listeners;
    private readonly NvmeTcpServer _server;

    public NvmeListener(NvmeSubsystems subsystems, IReadOnlyList<ListeningSocket> listeners, ServeLog log)
    {
        _log = log;
        _listeners = listeners;
        Subsystems = subsystems;
        Target.ClientChanged += notice => ClientEvents.Write(_log, Name, "nqn", notice);
        Target.Authenticated += (host, agreed) => _log.Write("authenticated", ("host", host), ("by", agreed));
        _server = new NvmeTcpServer(Target);
        _server.Ended += OnEnded;
        _server.Evicted += host => _log.Write("evicted", ("listener", Name), ("host", host), ("reason", ListeningSocket.EvictedWhy));
    }

    /// <inheritdoc/>
    public string Name => "nvme";

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => [.. _listeners.Select(l => l.Address)];

    /// <inheritdoc/>
    public IReadOnlyList<ServedEndpoint> Endpoints
        => [.. Subsystems.Namespaces.SelectMany(ns => _listeners.Select(listener => ServedEndpoint.Nvme(listener, ns, ns.Disk.Name))),
            .. Subsystems.ManagedIn is { Namespaces.Count: 0 } empty
                ? _listeners.Select(listener => ServedEndpoint.Nvme(listener, empty)) : []];

    /// <inheritdoc/>
    public int Connections => _server.Connections.Count;

    /// <inheritdoc/>
    public NvmeSubsystems Subsystems { get; }

    /// <summary>Address of the first listening socket.</summary>
    public IPEndPoint Address => _server.Address;

    private NvmeTarget Target => Subsystems.Target;

    /// <inheritdoc/>
    public void Open()
    {
        foreach (var listener in _listeners)
        {
            _server.Listen(listener.Socket);
        }
    }

    /// <inheritdoc/>
    public Task CloseAsync(TimeSpan limit) => _server.StopAsync(limit);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _server.DisposeAsync();

    /// <inheritdoc/>
    public void DropConnections()
    {
        Target.DropControllers();
        _server.DropConnections();
    }

    /// <inheritdoc/>
    public void Admit(bool clients)
    {
        if (!clients)
        {
            // power is cut
            Target.ForgetUnflushed();
        }

        _server.Admit(clients);
    }

    /// <inheritdoc/>
    public Task GoneAsync(TimeSpan limit) => _server.GoneAsync(limit);

    /// <inheritdoc/>
    public string? CannotResize(ServedDisk disk, long length) => Subsystems.CannotResize(disk, length);

    /// <inheritdoc/>
    public void Resized(ServedDisk disk) => Subsystems.Resized(disk);

    /// <inheritdoc/>
    public long BytesWritten(ServedDisk disk) => Subsystems.BytesWritten(disk);

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page)
    {
        NvmeMetrics.WriteNamespaces(page, Target);
        NvmeMetrics.WriteTcp(page, _server);
    }

    /// <inheritdoc/>
    public Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit) => Subsystems.AnnounceAsync(disk, state, limit);

    /// <inheritdoc/>
    public void Show(ServedDisk disk, DiskState state) => Subsystems.Show(disk, state);

    /// <inheritdoc/>
    public void Disconnect(ServedDisk disk)
    {
        // the state of the namespaces tells hosts to use another path
    }

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings) => Subsystems.Reload(settings);

    private void OnEnded(string host, string? why)
    {
        if (why is not null)
        {
            _log.Write("client error", ("host", host), ("reason", why));
        }
    }
}
