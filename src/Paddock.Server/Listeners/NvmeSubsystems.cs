using System.Globalization;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Nvme.Ana;
using Paddock.Server.Disks;
using Paddock.Server.Namespaces;
using Paddock.Server.Standby;
using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>A listener whose clients use NVMe namespaces, over whatever transport.</summary>
internal interface INvmeListener : IListener
{
    /// <summary>The subsystems; the same object in every NVMe listener of a server.</summary>
    NvmeSubsystems Subsystems { get; }
}

/// <summary>
/// Images as namespaces of NVMe subsystems. All NVMe listeners of a server share it: a namespace is the same object over TCP and on a
/// guest's PCI bus, with the same limits, statistics and events.
/// </summary>
internal sealed class NvmeSubsystems
{
    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly DhChapPolicy? _keys;
    private readonly List<ServedNamespace> _fixed = [];
    private readonly Dictionary<ServedDisk, AnaGroup> _groups = [];
    private readonly NamespaceDirectory? _directory;

    /// <param name="settings">The settings.</param>
    /// <param name="disks">The images that the server was started with.</param>
    /// <param name="directory">Namespaces that hosts create, in the first subsystem; null: they create none.</param>
    /// <param name="buffers">Memory for request data.</param>
    /// <param name="log">The log.</param>
    public NvmeSubsystems(
        ServeSettings settings, IReadOnlyList<ServedDisk> disks, NamespaceDirectory? directory, SlabPool buffers, ServeLog log)
    {
        _settings = settings;
        _log = log;
        _directory = directory;
        _keys = ServeKeys.PolicyOf(settings, Environment.GetEnvironmentVariable);
        Target = new NvmeTarget(new NvmeTargetOptions
        {
            Connections = settings.MaxConnections,
            Buffers = buffers,
            IdleTimeout = TimeSpan.FromSeconds(settings.IdleTimeout ?? ServeSettings.DefaultIdleSeconds),
        });
        string name = disks.Count > 0 ? disks[0].Settings.Path : Path.TrimEndingDirectorySeparator(settings.NamespaceDir ?? "");
        string first = settings.Nqn ?? PaddockServer.DefaultNqn + PaddockServer.StemOf(name);
        if (directory is not null)
        {
            // their identifiers are taken before those of the images
            ManagedIn = SubsystemOf(first, directory);
            AddManaged(ManagedIn, directory);
        }

        foreach (var disk in disks)
        {
            AddNamespaces(SubsystemOf(disk.Settings.Nqn ?? first), disk);
        }
    }

    /// <summary>The subsystems and their controllers.</summary>
    public NvmeTarget Target { get; }

    /// <summary>The namespaces of all subsystems.</summary>
    public IReadOnlyList<ServedNamespace> Namespaces => _directory is null ? _fixed
        : [.. _fixed, .. _directory.Served.Select(s => new ServedNamespace(ManagedIn!, s.Namespace, s.Disk, 0))];

    /// <summary>The subsystem in which hosts create namespaces; null without a directory of namespaces.</summary>
    public NvmeSubsystem? ManagedIn { get; }

    /// <summary>The namespaces of all NVMe listeners; none if there is no such listener.</summary>
    public static IEnumerable<ServedNamespace> NamespacesOf(IEnumerable<IListener> listeners)
        => listeners.OfType<INvmeListener>().FirstOrDefault()?.Subsystems.Namespaces ?? [];

    /// <summary>Records that the server has started.</summary>
    public void RecordPowerOn()
    {
        foreach (var subsystem in Target.Subsystems)
        {
            subsystem.RecordPowerOn();
        }
    }

    /// <inheritdoc cref="IListener.CannotResize"/>
    /// <remarks>Namespaces are not added or removed: conventional zones form one namespace, sequential zones another.</remarks>
    public string? CannotResize(ServedDisk disk, long length)
    {
        if (_directory?.Owns(disk) == true)
        {
            return "an NVMe host has created it as a namespace: its size does not change";
        }

        var parts = _fixed.Where(n => n.Disk == disk).ToArray();
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

    /// <summary>Notifies hosts if the size of a disk's namespaces has changed; a second call changes nothing.</summary>
    public void Resized(ServedDisk disk)
    {
        foreach (var ns in _fixed.Where(n => n.Disk == disk))
        {
            ns.Subsystem.Resized(ns.Namespace);
        }
    }

    /// <inheritdoc cref="IListener.AnnounceAsync"/>
    public Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit)
        => !_groups.TryGetValue(disk, out var group) ? Task.CompletedTask
            : state == DiskState.Active ? group.PrepareAsync(AnaState.Optimized, limit)
            : group.AnnounceAsync(AnaState.Inaccessible, limit);

    /// <inheritdoc cref="IListener.Show"/>
    public void Show(ServedDisk disk, DiskState state)
    {
        if (!_groups.TryGetValue(disk, out var group))
        {
            return;
        }

        switch (state)
        {
            case DiskState.Active:
                group.SetState(AnaState.Optimized);
                break;
            case DiskState.Lost:
                group.LoseAccess();
                break;
            default:
                group.SetState(AnaState.Inaccessible);
                break;
        }
    }

    /// <summary>Total bytes that hosts have written to a disk, over all transports.</summary>
    public long BytesWritten(ServedDisk disk) => Namespaces.Where(n => n.Disk == disk).Sum(n => n.Namespace.Statistics.BytesWritten);

    /// <summary>Applies the settings of subsystems that can change at run time.</summary>
    /// <returns>A short description of each change.</returns>
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

    private NvmeSubsystem SubsystemOf(string nqn, NamespaceDirectory? directory = null)
    {
        if (Target.Subsystems.FirstOrDefault(s => s.Nqn == nqn) is { } known)
        {
            return known;
        }

        try
        {
            var subsystem = new NvmeSubsystem(nqn, $"PADDOCK{Target.Subsystems.Count:D8}")
            {
                AllowedHosts = HostsOf(_settings), Authentication = _keys, Manager = directory, AllowsFormat = _settings.NvmeFormat,
                AllowsCopy = _settings.NvmeCopy, AllowsUncorrectable = _settings.NvmeUncorrectable,
                ControllerIds = _settings.Node == 0 ? ControllerRange.All : ControllerRange.OfNode(_settings.Node),
            };
            Target.Add(subsystem);
            return subsystem;
        }
        catch (ArgumentException e)
        {
            throw new ToolException(e.Message);
        }
    }

    private void AddManaged(NvmeSubsystem subsystem, NamespaceDirectory directory)
    {
        foreach (var (ns, disk, attachments) in directory.Serve())
        {
            subsystem.Add(ns, attachments);
            _log.Write(
                "namespace", ("nqn", subsystem.Nqn), ("id", ns.Id.ToString(CultureInfo.InvariantCulture)),
                ("image", disk.Filename), ("kind", ns.Zones is null ? "plain" : "zoned"));
        }
    }

    // another server has the image at other times; null: none has. The same number on each server with the same images. A read-only image
    // needs a group too, which never changes: Linux uses no namespace without one if the subsystem has groups
    private AnaGroup? GroupOf(NvmeSubsystem subsystem, ServedDisk disk)
    {
        if (!_settings.Standby)
        {
            return null;
        }

        uint id = (uint)subsystem.Namespaces.Select(static n => n.AnaGroup).Distinct().Count(static g => g is not null) + 1;
        if (id > AnaGroup.MaxId)
        {
            throw new ToolException($"subsystem {subsystem.Nqn} would have {id} images on standby: the limit is {AnaGroup.MaxId}");
        }

        if (disk.Settings.ReadOnly)
        {
            return new AnaGroup(id, AnaState.Optimized);
        }

        var group = new AnaGroup(id, disk.State == DiskState.Active ? AnaState.Optimized : AnaState.Inaccessible);
        _groups.Add(disk, group);
        return group;
    }

    private void AddNamespaces(NvmeSubsystem subsystem, ServedDisk disk)
    {
        var parts = DiskWindow.Part(disk.Device);
        long start = 0;
        var group = GroupOf(subsystem, disk);
        foreach (var part in parts)
        {
            uint id = 1;
            while (subsystem.Namespaces.Any(n => n.Id == id))
            {
                id++;
            }

            try
            {
                var ns = new NvmeNamespace(id, part, _settings.BlockSize, disk.Name) { HeldRequests = disk.Faults, AnaGroup = group };
                subsystem.Add(ns);
                _fixed.Add(new ServedNamespace(subsystem, ns, disk, start));
                start += part.Length;
            }
            catch (ArgumentException e)
            {
                throw new ToolException($"'{disk.Filename}' cannot be served over NVMe: it has {e.Message}");
            }

            string kind = part.Zones is not null ? "zoned" : parts.Count > 1 ? "plain (conventional zones)" : "plain";
            _log.Write(
                "namespace", ("nqn", subsystem.Nqn), ("id", id.ToString(CultureInfo.InvariantCulture)), ("image", disk.Filename),
                ("kind", kind));
            if (part.Zones is { } zones && !long.IsPow2(zones.Limits.ZoneSize))
            {
                _log.Write("warning", ("image", disk.Filename),
                    ("reason", "the zone size is not a power of two: Linux will not use the namespace"));
            }
        }
    }
}
