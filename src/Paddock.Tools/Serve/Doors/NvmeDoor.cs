using System.Globalization;
using System.Net;
using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Tools.Serve.Doors;

/// <summary>The images as namespaces of NVMe subsystems, over TCP.</summary>
internal sealed class NvmeDoor : IDoor
{
    private const string DefaultNqn = "nqn.2026-01.io.paddock:";

    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly IReadOnlyList<DoorListener> _listeners;
    private readonly NvmeTcpServer _server;

    public NvmeDoor(ServeSettings settings, IReadOnlyList<ServedDisk> disks, IReadOnlyList<DoorListener> listeners, ServeLog log)
    {
        _settings = settings;
        _log = log;
        _listeners = listeners;
        Target = new NvmeTarget(new NvmeTargetOptions
        {
            Connections = settings.MaxConnections,
            IdleTimeout = TimeSpan.FromSeconds(settings.IdleTimeout),
        });
        string first = settings.Nqn ?? DefaultNqn + ServeVerb.StemOf(disks[0].Settings.Path);
        foreach (var disk in disks)
        {
            AddNamespaces(SubsystemOf(disk.Settings.Nqn ?? first), disk);
        }

        _server = new NvmeTcpServer(Target);
        _server.Ended += OnEnded;
        _server.Refused += () => _log.Write("refused", ("door", Name), ("why", "too many connections"));
    }

    /// <inheritdoc/>
    public string Name => "nvme";

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => [.. _listeners.Select(l => l.Address)];

    /// <inheritdoc/>
    public int Connections => _server.Connections.Count;

    /// <summary>The subsystems.</summary>
    public NvmeTarget Target { get; }

    /// <summary>Where it listens first.</summary>
    public IPEndPoint Address => _server.Address;

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
    public void WriteMetrics(MetricsText page) => NvmeMetrics.Write(page, Target, _server);

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings)
    {
        var hosts = HostsOf(settings);
        foreach (var subsystem in Target.Subsystems)
        {
            subsystem.AllowedHosts = hosts;
        }

        return [hosts is null ? "hosts=all" : $"hosts={hosts.Count}"];
    }

    private static HashSet<string>? HostsOf(ServeSettings settings) => settings.AllowHosts.Count == 0 ? null : [.. settings.AllowHosts];

    private NvmeSubsystem SubsystemOf(string nqn)
    {
        if (Target.Subsystems.FirstOrDefault(s => s.Nqn == nqn) is { } known)
        {
            return known;
        }

        try
        {
            var subsystem = new NvmeSubsystem(nqn, $"PADDOCK{Target.Subsystems.Count:D8}") { AllowedHosts = HostsOf(_settings) };
            Target.Add(subsystem);
            return subsystem;
        }
        catch (ArgumentException e)
        {
            throw new ToolException(e.Message);
        }
    }

    private void AddNamespaces(NvmeSubsystem subsystem, ServedDisk disk)
    {
        var parts = DiskWindow.Part(disk.Node.Device);
        foreach (var part in parts)
        {
            uint id = (uint)subsystem.Namespaces.Count + 1;
            try
            {
                subsystem.Add(new NvmeNamespace(id, part, _settings.BlockSize, disk.Name));
            }
            catch (ArgumentException e)
            {
                throw new ToolException($"'{disk.Node.Filename}' cannot be an NVMe namespace: it has {e.Message}");
            }

            string kind = part is IZonedBlockDevice ? "zoned" : parts.Count > 1 ? "plain (the conventional zones)" : "plain";
            _log.Write(
                "namespace", ("nqn", subsystem.Nqn), ("id", id.ToString(CultureInfo.InvariantCulture)), ("image", disk.Node.Filename), ("kind", kind));
            if (part is IZonedBlockDevice zoned && !long.IsPow2(zoned.Zoned.ZoneSize))
            {
                _log.Write("warning", ("image", disk.Node.Filename), ("why", "Linux takes no zones whose size is no power of two"));
            }
        }
    }

    private void OnEnded(string host, string? why)
    {
        if (why is not null)
        {
            _log.Write("connection ended for a fault of the client", ("host", host), ("why", why));
        }
        else if (host.Length > 0)
        {
            _log.Write("connection ended", ("host", host));
        }
    }
}
