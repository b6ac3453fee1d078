using System.Globalization;
using System.Net;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>Serves images as namespaces of NVMe subsystems over TCP.</summary>
internal sealed class NvmeListener : IListener
{
    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly IReadOnlyList<ListeningSocket> _listeners;
    private readonly NvmeTcpServer _server;
    private readonly DhChapPolicy? _keys;
    private readonly List<ServedNamespace> _namespaces = [];

    public NvmeListener(
        ServeSettings settings, IReadOnlyList<ServedDisk> disks, IReadOnlyList<ListeningSocket> listeners, SlabPool buffers, ServeLog log)
    {
        _settings = settings;
        _log = log;
        _listeners = listeners;
        _keys = ServeKeys.PolicyOf(settings, Environment.GetEnvironmentVariable);
        Target = new NvmeTarget(new NvmeTargetOptions
        {
            Connections = settings.MaxConnections,
            Buffers = buffers,
            IdleTimeout = TimeSpan.FromSeconds(settings.IdleTimeout ?? ServeSettings.DefaultIdleSeconds),
        });
        Target.ClientChanged += notice => ClientEvents.Write(_log, Name, "nqn", notice);
        Target.Authenticated += (host, agreed) => _log.Write("authenticated", ("host", host), ("by", agreed));
        string first = settings.Nqn ?? PaddockServer.DefaultNqn + PaddockServer.StemOf(disks[0].Settings.Path);
        foreach (var disk in disks)
        {
            AddNamespaces(SubsystemOf(disk.Settings.Nqn ?? first), disk);
        }

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
        => [.. _namespaces.SelectMany(ns => _listeners.Select(listener => ServedEndpoint.Nvme(listener, ns, ns.Disk.Name)))];

    /// <inheritdoc/>
    public int Connections => _server.Connections.Count;

    /// <summary>The subsystems.</summary>
    public NvmeTarget Target { get; }

    /// <summary>The namespaces of all subsystems.</summary>
    public IReadOnlyList<ServedNamespace> Namespaces => _namespaces;

    /// <summary>Address of the first listening socket.</summary>
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
    /// <remarks>Namespaces are not added or removed: conventional zones form one namespace, sequential zones another.</remarks>
    public string? CannotResize(ServedDisk disk, long length)
    {
        var parts = _namespaces.Where(n => n.Disk == disk).ToArray();
        if (parts.Length > 0 && length % _settings.BlockSize != 0)
        {
            return $"{length} bytes are not a multiple of the NVMe block size, {_settings.BlockSize} bytes";
        }

        if (disk.Zones is not { Limits: { ConventionalZones: > 0 and var conventional, ZoneSize: var size } } || parts.Length == 0)
        {
            return null;
        }

        return parts is [.., { Namespace: { Zones: not null, Id: var id }, Start: var border }]
            ? length > border ? null : $"NVMe namespace {id} would have no zones left: the size must be above {border} bytes"
            : length <= conventional * size ? null
                : $"sequential zones, beyond {conventional * size} bytes, would need a new NVMe namespace: stop the server and use "
                + "'paddock img resize'";
    }

    /// <inheritdoc/>
    public void Resized(ServedDisk disk)
    {
        foreach (var ns in _namespaces.Where(n => n.Disk == disk))
        {
            ns.Subsystem.Resized(ns.Namespace);
        }
    }

    /// <inheritdoc/>
    public long BytesWritten(ServedDisk disk) => _namespaces.Where(n => n.Disk == disk).Sum(n => n.Namespace.Statistics.BytesWritten);

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page) => NvmeMetrics.Write(page, Target, _server);

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings)
    {
        var changes = new List<string>();
        var (hosts, keys) = (HostsOf(settings), ServeKeys.PolicyOf(settings, Environment.GetEnvironmentVariable));
        foreach (var subsystem in Target.Subsystems)
        {
            changes.AddRange(ChangesOf(subsystem.AllowedHosts, hosts).Select(change => $"{subsystem.Nqn}: {change}"));
            subsystem.AllowedHosts = hosts;
            subsystem.Authentication = keys;
        }

        if (keys is not null)
        {
            changes.Add($"reloaded keys of {keys.Hosts.Count} hosts");
        }

        return changes;
    }

    private static IEnumerable<string> ChangesOf(IReadOnlySet<string>? before, IReadOnlySet<string>? after)
        => (before, after) switch
        {
            (null, null) => [],
            (null, { } only) => [$"only {only.Count} hosts may connect"],
            (_, null) => ["all hosts may connect"],
            _ => [.. after.Except(before).Select(h => "added " + h), .. before.Except(after).Select(h => "removed " + h)],
        };

    private static HashSet<string>? HostsOf(ServeSettings settings) => settings.AllowHosts.Count == 0 ? null : [.. settings.AllowHosts];

    private NvmeSubsystem SubsystemOf(string nqn)
    {
        if (Target.Subsystems.FirstOrDefault(s => s.Nqn == nqn) is { } known)
        {
            return known;
        }

        try
        {
            var subsystem = new NvmeSubsystem(nqn, $"PADDOCK{Target.Subsystems.Count:D8}")
            {
                AllowedHosts = HostsOf(_settings), Authentication = _keys,
            };
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
        var parts = DiskWindow.Part(disk.Device);
        long start = 0;
        foreach (var part in parts)
        {
            uint id = (uint)subsystem.Namespaces.Count + 1;
            try
            {
                var ns = new NvmeNamespace(id, part, _settings.BlockSize, disk.Name) { HeldRequests = disk.Faults };
                subsystem.Add(ns);
                _namespaces.Add(new ServedNamespace(subsystem, ns, disk, start));
                start += part.Length;
            }
            catch (ArgumentException e)
            {
                throw new ToolException($"'{disk.Node.Filename}' cannot be served over NVMe: it has {e.Message}");
            }

            string kind = part.Zones is not null ? "zoned" : parts.Count > 1 ? "plain (conventional zones)" : "plain";
            _log.Write(
                "namespace", ("nqn", subsystem.Nqn), ("id", id.ToString(CultureInfo.InvariantCulture)), ("image", disk.Node.Filename),
                ("kind", kind));
            if (part.Zones is { } zones && !long.IsPow2(zones.Limits.ZoneSize))
            {
                _log.Write("warning", ("image", disk.Node.Filename),
                    ("reason", "the zone size is not a power of two: Linux will not use the namespace"));
            }
        }
    }

    private void OnEnded(string host, string? why)
    {
        if (why is not null)
        {
            _log.Write("client error", ("host", host), ("reason", why));
        }
    }
}
