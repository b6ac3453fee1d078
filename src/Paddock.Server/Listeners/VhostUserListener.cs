using System.Runtime.Versioning;
using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Server.Standby;
using Paddock.Serving;
using Paddock.VhostUser;
using Paddock.VhostUser.Blk;

namespace Paddock.Server.Listeners;

/// <summary>Serves each image as a disk of a virtual machine, on a Unix socket of its own.</summary>
[SupportedOSPlatform("linux")]
internal sealed class VhostUserListener : IListener
{
    private const string Ending = ".sock";

    private readonly SocketServers<VhostUserServer, ServedDisk> _servers = new();

    public VhostUserListener(
        ServeSettings settings, IReadOnlyList<ServedDisk> disks, IReadOnlyList<ListeningSocket> handed, SlabPool buffers, ServeLog log)
    {
        if (settings.VhostUserQueues is < 1 or > VhostUserLimits.MaxQueues)
        {
            throw new ToolException($"--vhost-user-queues {settings.VhostUserQueues}: expected 1 to {VhostUserLimits.MaxQueues}");
        }

        // sockets passed by the service manager are assigned to the images in order
        var left = new Queue<ListeningSocket>(handed);
        foreach (var disk in disks)
        {
            if (!left.TryDequeue(out var listener))
            {
                if (PathOf(settings, disks, disk) is not { } path)
                {
                    continue;
                }

                listener = ListeningSocket.Open(ListenAddress.UnixPrefix + path, "--vhost-user", allowUnix: true);
            }

            var server = new VhostUserServer(disk.Device, new VhostUserServerOptions
            {
                Queues = settings.VhostUserQueues,
                SealedMemoryOnly = settings.VhostUserSealed,
                Serial = disk.Name,
                Buffers = buffers,
                HandshakeLimit = TimeSpan.FromSeconds(settings.IdleTimeout ?? 0),
                Notices = notice => ClientEvents.Write(log, "vhost-user", "image", notice with { Disk = disk.Name }),
                Log = line => log.Write("vhost-user", ("image", disk.Filename), ("detail", line)),
            });
            _servers.Add(server, listener, disk);
        }
    }

    /// <inheritdoc/>
    public string Name => "vhost-user";

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => _servers.Addresses;

    /// <inheritdoc/>
    public IReadOnlyList<ServedEndpoint> Endpoints
        => [.. _servers.All.Select(s => ServedEndpoint.VhostUser(s.Listener, s.Served.Name, s.Served.Zones is not null))];

    /// <inheritdoc/>
    public int Connections => _servers.Connections;

    /// <inheritdoc/>
    public void Open() => _servers.Open();

    /// <inheritdoc/>
    public Task CloseAsync(TimeSpan limit) => _servers.StopAsync();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _servers.DisposeAsync();

    /// <inheritdoc/>
    public void DropConnections()
    {
        foreach (var (server, _, _) in _servers.All)
        {
            server.DropConnections();
        }
    }

    /// <inheritdoc/>
    public void Admit(bool clients)
    {
        foreach (var (server, _, _) in _servers.All)
        {
            server.Admit(clients);
        }
    }

    /// <inheritdoc/>
    public Task GoneAsync(TimeSpan limit) => Task.WhenAll(_servers.All.Select(s => s.Server.GoneAsync(limit)));

    /// <inheritdoc/>
    public void Resized(ServedDisk disk)
    {
        foreach (var (server, _, _) in _servers.All.Where(s => s.Served == disk))
        {
            server.ConfigChanged();
        }
    }

    /// <inheritdoc/>
    public string? CannotResize(ServedDisk disk, long length) => null;

    /// <inheritdoc/>
    public Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Show(ServedDisk disk, DiskState state)
    {
        foreach (var (server, _, _) in _servers.All.Where(s => s.Served == disk))
        {
            server.Admit(state == DiskState.Active);
        }
    }

    /// <inheritdoc/>
    public void Disconnect(ServedDisk disk)
    {
        foreach (var (server, _, _) in _servers.All.Where(s => s.Served == disk))
        {
            server.DropConnections();
        }
    }

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings) => [];

    /// <inheritdoc/>
    public long BytesWritten(ServedDisk disk) => _servers.All.Where(s => s.Served == disk).Sum(s => s.Server.Statistics.BytesWritten);

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page)
    {
        foreach (var (server, _, disk) in _servers.All)
        {
            string name = disk.Name;
            var done = server.Statistics;
            foreach (var (kind, operations) in RequestMetrics.DiskKinds)
            {
                page.Counter(
                    "paddock_vhost_user_requests_total", "Successful requests of virtual machines.", done.Sum(operations), ("disk", name),
                    ("kind", kind));
            }

            page.Counter("paddock_vhost_user_request_errors_total", "Failed requests of virtual machines.", done.Errors, ("disk", name));
            page.Counter("paddock_vhost_user_bytes_total", "Bytes read and written by virtual machines.", done.BytesRead, ("disk", name),
                ("kind", "read"));
            page.Counter("paddock_vhost_user_bytes_total", "Bytes read and written by virtual machines.", done.BytesWritten, ("disk", name),
                ("kind", "write"));
            RequestMetrics.WriteLatencies(
                page, "paddock_vhost_user_latency_seconds", "Time from fetching a request to its completion.", server.Latencies,
                RequestMetrics.DiskKinds,
                ("disk", name));
            page.Counter(
                "paddock_vhost_user_connections_accepted_total", "Front-end connections accepted.", server.Accepted, ("disk", name));
            page.Counter(
                "paddock_vhost_user_connections_refused_total", "Front-end connections closed because of a front-end error.",
                server.Refused, ("disk", name));
        }
    }

    private static string? PathOf(ServeSettings settings, IReadOnlyList<ServedDisk> disks, ServedDisk disk)
    {
        if (disk.Settings.VhostUser is { } own)
        {
            return own;
        }

        if (settings.VhostUser is not { } path)
        {
            return null;
        }

        if (Directory.Exists(path))
        {
            return Path.Combine(path, disk.Name + Ending);
        }

        return disks.Count == 1 ? path
            : throw new ToolException($"--vhost-user {path}: not an existing directory; several images require one");
    }
}
