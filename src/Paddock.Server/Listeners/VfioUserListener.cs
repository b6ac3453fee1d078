using System.Runtime.Versioning;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Server.Standby;
using Paddock.Serving;
using Paddock.VfioUser;

namespace Paddock.Server.Listeners;

/// <summary>
/// Serves NVMe subsystems as devices on the PCI bus of virtual machines: a controller on each Unix socket. A power cut keeps the
/// connections, since QEMU connects only once: the controllers fail as drives without power do.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class VfioUserListener : INvmeListener
{
    private readonly SocketServers<VfioUserServer, NvmeSubsystem> _servers = new();
    private readonly ServeLog _log;
    private readonly bool _isFirst;

    /// <param name="settings">The settings.</param>
    /// <param name="subsystems">The subsystems, shared with other NVMe listeners.</param>
    /// <param name="handed">Sockets passed by the service manager, for the first subsystem.</param>
    /// <param name="isFirst">Whether no other NVMe listener reports what is common to all.</param>
    /// <param name="log">The log.</param>
    /// <exception cref="ToolException">Cannot listen, or no such subsystem; the message names the option.</exception>
    public VfioUserListener(
        ServeSettings settings, NvmeSubsystems subsystems, IReadOnlyList<ListeningSocket> handed, bool isFirst, ServeLog log)
    {
        Subsystems = subsystems;
        _isFirst = isFirst;
        _log = log;
        var options = new VfioUserServerOptions
        {
            Queues = settings.VfioUserQueues,
            MappedDoorbells = settings.VfioUserDoorbells == "mapped",
            MsiX = settings.VfioUserInterrupts == "msix",
            Polling = TimeSpan.FromMicroseconds(settings.VfioUserPoll),
            SealedMemoryOnly = settings.VfioUserSealed,
            HandshakeLimit = TimeSpan.FromSeconds(settings.IdleTimeout ?? 0),
            Notices = notice => ClientEvents.Write(log, "vfio-user", "nqn", notice),
        };
        foreach (var listener in handed)
        {
            Add(listener, SubsystemOf(listener.Address, null), options);
        }

        foreach (string text in settings.VfioUser)
        {
            var (path, nqn) = VfioUserSockets.Parse(text);
            var subsystem = SubsystemOf("--vfio-user " + text, nqn);
            Add(ListeningSocket.Open(ListenAddress.UnixPrefix + path, "--vfio-user", allowUnix: true), subsystem, options);
        }
    }

    /// <inheritdoc/>
    public string Name => "vfio-user";

    /// <inheritdoc/>
    public NvmeSubsystems Subsystems { get; }

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => _servers.Addresses;

    /// <inheritdoc/>
    public IReadOnlyList<ServedEndpoint> Endpoints
        => [.. _servers.All.SelectMany(
            s => Subsystems.Namespaces.Where(n => n.Subsystem == s.Served).Select(n => ServedEndpoint.VfioUser(s.Listener, n)))];

    /// <inheritdoc/>
    public int Connections => _servers.Connections;

    /// <inheritdoc/>
    public void Open() => _servers.Open();

    /// <inheritdoc/>
    public Task CloseAsync(TimeSpan limit) => _servers.StopAsync();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _servers.DisposeAsync();

    /// <inheritdoc/>
    /// <remarks>The controllers fail and must be reset, but the connections stay: QEMU does not connect again.</remarks>
    public void DropConnections()
    {
        if (_isFirst)
        {
            Subsystems.Target.DropControllers();
        }
    }

    /// <inheritdoc/>
    public void Admit(bool clients)
    {
        if (!clients && _isFirst)
        {
            Subsystems.Target.ForgetUnflushed();
        }

        foreach (var (server, _, _) in _servers.All)
        {
            server.SetPower(clients);
        }
    }

    /// <inheritdoc/>
    public Task GoneAsync(TimeSpan limit) => Task.WhenAll(_servers.All.Select(s => s.Server.QuietAsync(limit)));

    /// <inheritdoc/>
    public string? CannotResize(ServedDisk disk, long length) => Subsystems.CannotResize(disk, length);

    /// <inheritdoc/>
    public void Resized(ServedDisk disk) => Subsystems.Resized(disk);

    /// <inheritdoc/>
    public Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit) => Subsystems.AnnounceAsync(disk, state, limit);

    /// <inheritdoc/>
    public void Show(ServedDisk disk, DiskState state) => Subsystems.Show(disk, state);

    /// <inheritdoc/>
    public void Disconnect(ServedDisk disk)
    {
        // the state of the namespaces tells guests to use another path
    }

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings) => _isFirst ? Subsystems.Reload(settings) : [];

    /// <inheritdoc/>
    public long BytesWritten(ServedDisk disk) => _isFirst ? Subsystems.BytesWritten(disk) : 0;

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page)
    {
        if (_isFirst)
        {
            NvmeMetrics.WriteNamespaces(page, Subsystems.Target);
        }

        foreach (var (server, listener, subsystem) in _servers.All)
        {
            var (nqn, socket, counts) = (("nqn", subsystem.Nqn), ("socket", listener.Address), server.Counts);
            page.Counter("paddock_vfio_user_requests_total", "Requests of virtual machine monitors.", counts.Requests, nqn, socket);
            page.Counter("paddock_vfio_user_requests_rejected_total", "Rejected requests of them.", counts.Rejected, nqn, socket);
            page.Counter("paddock_vfio_user_dma_messages_total", "DMA messages to them.", counts.DmaMessages, nqn, socket);
            page.Counter("paddock_vfio_user_interrupts_total", "Interrupts signalled.", counts.Interrupts, nqn, socket);
            page.Counter("paddock_vfio_user_resets_total", "Resets of the device.", counts.Resets, nqn, socket);
            RequestMetrics.WriteLatencies(
                page, "paddock_vfio_user_latency_seconds", "Time from fetching an NVMe command to its completion.", server.Latencies,
                [.. RequestMetrics.DiskKinds, new("admin", ServedOperation.Admin)], nqn, socket);
            page.Counter("paddock_vfio_user_connections_accepted_total", "Connections accepted.", server.Accepted, nqn, socket);
        }
    }

    private NvmeSubsystem SubsystemOf(string what, string? nqn)
    {
        var all = Subsystems.Target.Subsystems;
        string names = string.Join(", ", all.Select(s => s.Nqn));
        return nqn is null
            ? all.Count == 1 ? all[0] : throw new ToolException($"{what}: there are several subsystems: add =NQN, one of {names}")
            : all.FirstOrDefault(s => s.Nqn == nqn)
                ?? throw new ToolException($"{what}: unknown subsystem '{nqn}'; expected {(all.Count == 1 ? "" : "one of ")}{names}");
    }

    private void Add(ListeningSocket listener, NvmeSubsystem subsystem, VfioUserServerOptions options)
    {
        var server = new VfioUserServer(Subsystems.Target, subsystem, options with
        {
            Log = line => _log.Write("vfio-user", ("socket", listener.Address), ("detail", line)),
        });
        _servers.Add(server, listener, subsystem);
    }
}
