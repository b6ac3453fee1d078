using Paddock.Block.Concurrency;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

/// <summary>A subsystem: a name, its namespaces, and the hosts that may connect.</summary>
public sealed class NvmeSubsystem
{
    /// <summary>Longest qualified name, in bytes.</summary>
    public const int MaxNqn = ConnectData.MaxNqn;

    private const int MaxControllers = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<ushort, Controller> _controllers = [];
    private readonly Dictionary<uint, HostAttachments> _attachments = [];
    private volatile NvmeNamespace[] _namespaces = [];
    private volatile HashSet<string>? _hosts;
    private volatile DhChapPolicy? _authentication;
    private ushort _lastController;

    /// <param name="nqn">Its qualified name, at most 223 bytes.</param>
    /// <param name="serialNumber">At most 20 ASCII characters.</param>
    public NvmeSubsystem(string nqn, string serialNumber)
    {
        if (System.Text.Encoding.UTF8.GetByteCount(nqn) > MaxNqn || !nqn.StartsWith("nqn.", StringComparison.Ordinal))
        {
            throw new ArgumentException($"invalid NVMe qualified name '{nqn}': it must begin with 'nqn.' and have at most {MaxNqn} bytes");
        }

        Nqn = nqn;
        SerialNumber = serialNumber;
        Health = new DriveHealth(this);
        Telemetry = new Telemetry(this);
    }

    /// <summary>The qualified name.</summary>
    public string Nqn { get; }

    /// <summary>The serial number.</summary>
    public string SerialNumber { get; }

    /// <summary>Whether shared namespaces (multipath) are reported to hosts.</summary>
    public bool Shared { get; init; }

    /// <summary>The namespaces, in order of their identifiers.</summary>
    public IReadOnlyList<NvmeNamespace> Namespaces => _namespaces;

    /// <summary>The hosts that may connect; null: all. May change at any time; a change applies to new connections.</summary>
    public IReadOnlySet<string>? AllowedHosts
    {
        get => _hosts;
        set => _hosts = value is null ? null : [.. value];
    }

    /// <summary>
    /// Keys with which hosts must authenticate; null for no authentication. May change at any time; a change applies to new connections,
    /// and to the next exchange on existing ones. A host without a key may not connect.
    /// </summary>
    public DhChapPolicy? Authentication
    {
        get => _authentication;
        set => _authentication = value;
    }

    /// <summary>Identifiers of its controllers.</summary>
    internal ControllerRange ControllerIds { get; init; } = ControllerRange.All;

    /// <summary>Whether it reports the access states of its namespaces: one of them has a group.</summary>
    internal bool ReportsAccess => Array.Exists(_namespaces, static ns => ns.AnaGroup is not null);

    /// <summary>The greatest identifier of a group of namespaces; 0 without groups.</summary>
    internal uint AccessGroupLimit => _namespaces.Length == 0 ? 0 : _namespaces.Max(static ns => ns.AnaGroup?.Id ?? 0);

    /// <summary>Whether a host follows the access states.</summary>
    internal bool HasAccessEvents => Array.Exists(Controllers(), static c => c.Events.FollowsAccess);

    /// <summary>Whether a host has not read a change of an access state yet.</summary>
    internal bool HasUnreadAccessEvents => Array.Exists(Controllers(), static c => c.Events.OwesAccess);

    /// <summary>How often its groups may have lost writes.</summary>
    internal ulong AccessLosses
        => _namespaces.Select(static ns => ns.AnaGroup).Distinct().Aggregate(0UL, static (sum, g) => sum + (g?.Losses ?? 0));

    /// <summary>Creates and deletes namespaces for hosts; null: they cannot.</summary>
    internal INamespaceManager? Manager { get; init; }

    /// <summary>Held while namespaces are created, deleted, attached or formatted.</summary>
    internal AsyncMutex Changes { get; } = new();

    /// <summary>Whether hosts may format its namespaces.</summary>
    internal bool AllowsFormat { get; init; }

    /// <summary>Whether hosts may copy blocks (Copy).</summary>
    internal bool AllowsCopy { get; init; } = true;

    /// <summary>Whether hosts may make blocks unreadable (Write Uncorrectable).</summary>
    internal bool AllowsUncorrectable { get; init; } = true;

    /// <summary>Whether there is a namespace whose blocks hosts may make unreadable.</summary>
    internal bool OffersUncorrectable
        => AllowsUncorrectable && Array.Exists(_namespaces, static ns => ns.Device.UnreadableRanges is not null);

    /// <summary>What it counts over its life.</summary>
    internal DriveHealth Health { get; }

    /// <summary>The last events in its life.</summary>
    internal DriveEvents EventLog { get; } = new(TimeProvider.System);

    /// <summary>Its telemetry logs.</summary>
    internal Telemetry Telemetry { get; }

    /// <summary>The greatest identifier that a namespace has or may get.</summary>
    internal uint NamespaceLimit => Math.Max(MaxNamespaceId, Manager?.MaxNamespaces ?? 0);

    private uint MaxNamespaceId => _namespaces is [.., var last] ? last.Id : 0;

    /// <summary>Adds a namespace, attached to every controller, and notifies connected hosts.</summary>
    public void Add(NvmeNamespace ns) => Add(ns, new HostAttachments(everyHost: true, []));

    /// <summary>Adds a namespace and notifies the hosts that it is attached to.</summary>
    internal void Add(NvmeNamespace ns, HostAttachments attachments)
    {
        ns.Join(Nqn);
        Controller[] attached;
        lock (_lock)
        {
            if (_namespaces.Any(n => n.Id == ns.Id))
            {
                throw new ArgumentException($"subsystem {Nqn} has a namespace {ns.Id} already");
            }

            if (ns.AnaGroup is { } group && _namespaces.Any(n => n.AnaGroup?.Id == group.Id && n.AnaGroup != group))
            {
                throw new ArgumentException($"subsystem {Nqn} has another ANA group {group.Id} already");
            }

            _namespaces = [.. _namespaces.Append(ns).OrderBy(n => n.Id)];
            _attachments.Add(ns.Id, attachments);
            attached = [.. _controllers.Values.Where(c => attachments.Includes(c.Host) && c.Attached.Add(ns))];
        }

        ns.AnaGroup?.MembersChanged(this, isMember: true);
        Array.ForEach(attached, c => c.Events.NamespaceChanged(ns.Id));
    }

    /// <summary>Detaches a namespace from every controller, removes it, and notifies the hosts that it was attached to.</summary>
    internal void Remove(NvmeNamespace ns)
    {
        Health.Retire(ns);
        Controller[] detached;
        lock (_lock)
        {
            _namespaces = [.. _namespaces.Where(n => n != ns)];
            _attachments.Remove(ns.Id);
            detached = [.. _controllers.Values.Where(c => c.Attached.Remove(ns))];
        }

        ns.AnaGroup?.MembersChanged(this, Array.Exists(_namespaces, n => n.AnaGroup == ns.AnaGroup));

        Array.ForEach(detached, c => c.Events.NamespaceChanged(ns.Id));
    }

    /// <summary>Attaches a namespace to controllers, or detaches it: all of them, or none. Notifies their hosts.</summary>
    /// <param name="ns">The namespace.</param>
    /// <param name="controllers">Their identifiers.</param>
    /// <param name="attach">Whether to attach.</param>
    /// <param name="by">The controller whose host knows of the change, because it asked for it.</param>
    /// <returns>Success, or why nothing was changed.</returns>
    internal NvmeStatus SetAttachment(NvmeNamespace ns, IReadOnlyList<ushort> controllers, bool attach, Controller by)
    {
        Controller[] chosen;
        lock (_lock)
        {
            if (!controllers.All(_controllers.ContainsKey))
            {
                return NvmeStatus.ControllerListInvalid;
            }

            chosen = [.. controllers.Select(id => _controllers[id])];
            bool IsAttached(Controller c) => c.Attached.Find(ns.Id) is not null;
            if (Array.Exists(chosen, c => IsAttached(c) == attach))
            {
                return attach ? NvmeStatus.NamespaceAlreadyAttached : NvmeStatus.NamespaceNotAttached;
            }

            if (attach && ns.IsPrivate && (chosen.Length > 1 || _controllers.Values.Any(IsAttached)))
            {
                return NvmeStatus.NamespaceIsPrivate;
            }

            foreach (var controller in chosen)
            {
                _ = attach ? controller.Attached.Add(ns) : controller.Attached.Remove(ns);
            }

            foreach (string host in chosen.Select(c => c.Host).Distinct())
            {
                _attachments[ns.Id].Set(host, _controllers.Values.Any(c => c.Host == host && IsAttached(c)));
            }
        }

        foreach (var controller in chosen.Where(c => c != by))
        {
            controller.Events.NamespaceChanged(ns.Id);
        }

        return NvmeStatus.Success;
    }

    /// <summary>The hosts that a namespace is attached to; null if the subsystem does not have it.</summary>
    internal HostAttachments? AttachmentsOf(NvmeNamespace ns)
    {
        lock (_lock)
        {
            return _attachments.TryGetValue(ns.Id, out var all) ? new HostAttachments(all.EveryHost, all.Hosts) : null;
        }
    }

    /// <summary>Notifies the hosts if the size of a namespace has changed.</summary>
    public void Resized(NvmeNamespace ns)
    {
        bool changed;
        lock (_lock)
        {
            changed = ns.TakeSize();
        }

        if (changed)
        {
            TellChanged(ns);
        }
    }

    /// <summary>Notifies the hosts that the controller changed a zone (fault injection).</summary>
    public void ZoneChanged(NvmeNamespace ns, int zone)
    {
        EventLog.AddText($"namespace {ns.Id}: the condition of zone {zone} was changed by the controller");
        foreach (var controller in ControllersOf(ns))
        {
            controller.Events.ZoneChanged(ns, zone);
        }
    }

    /// <summary>Records that the drive has been switched on.</summary>
    internal void RecordPowerOn() => EventLog.AddPowerOnOrReset(DriveEvents.NoController, Health.Totals(), 0);

    /// <summary>Notifies the hosts that the attributes of a namespace have changed.</summary>
    /// <param name="ns">The namespace.</param>
    /// <param name="by">The controller whose host knows of the change; null: none.</param>
    internal void TellChanged(NvmeNamespace ns, Controller? by = null)
    {
        foreach (var controller in ControllersOf(ns).Where(c => c != by))
        {
            controller.Events.NamespaceChanged(ns.Id);
        }
    }

    /// <summary>Notifies the hosts that the access state of a group of namespaces has changed.</summary>
    internal void TellAccessChanged() => Array.ForEach(Controllers(), static c => c.Events.AccessChanged());

    /// <summary>The controllers that a namespace is attached to.</summary>
    internal IEnumerable<Controller> ControllersOf(NvmeNamespace ns) => Controllers().Where(c => c.Attached.Find(ns.Id) == ns);

    /// <summary>An allocated namespace, attached or not; the commands of hosts use those of their controller.</summary>
    internal NvmeNamespace? Find(uint id) => Array.Find(_namespaces, n => n.Id == id);

    internal bool Allows(string host)
        => (_hosts is not { } hosts || hosts.Contains(host)) && (_authentication is not { } policy || policy.Find(host) is not null);

    /// <summary>Longest zone append accepted by every zoned namespace: a power of two, at least 4 KiB.</summary>
    internal int MaxAppend(int maxTransfer)
    {
        long most = maxTransfer;
        foreach (var ns in _namespaces)
        {
            if (ns.Zones is { Limits.MaxAppendBytes: > 0 and var limit })
            {
                most = Math.Min(most, limit);
            }
        }

        return Math.Max(4096, 1 << int.Log2((int)most));
    }

    /// <summary>A new controller; null when there are too many.</summary>
    internal Controller? Create(NvmeTarget target, string host, UInt128 hostId, ControllerTraits traits)
    {
        lock (_lock)
        {
            if (_controllers.Count >= MaxControllers)
            {
                return null;
            }

            do
            {
                _lastController = ControllerIds.After(_lastController);
            }
            while (_controllers.ContainsKey(_lastController));
            var controller = new Controller(target, this, _lastController, host, hostId, traits);
            foreach (var ns in _namespaces.Where(ns => _attachments[ns.Id].Includes(host) && !IsTaken(ns)))
            {
                controller.Attached.Add(ns);
            }

            _controllers.Add(_lastController, controller);
            return controller;
        }
    }

    internal Controller? FindController(ushort id)
    {
        lock (_lock)
        {
            return _controllers.GetValueOrDefault(id);
        }
    }

    internal void Remove(Controller controller)
    {
        List<(Controller Controller, NvmeNamespace Namespace)> moved = [];
        lock (_lock)
        {
            if (!_controllers.Remove(controller.Id))
            {
                return;
            }

            // a host that reconnects has a new controller before the end of the old one
            foreach (var ns in controller.Attached.All.Where(static ns => ns.IsPrivate))
            {
                if (_controllers.Values.FirstOrDefault(c => c.Host == controller.Host && _attachments[ns.Id].Includes(c.Host)) is { } next
                    && !IsTaken(ns) && next.Attached.Add(ns))
                {
                    moved.Add((next, ns));
                }
            }
        }

        foreach (var (next, ns) in moved)
        {
            next.Events.NamespaceChanged(ns.Id);
        }
    }

    // a private namespace is attached to one controller at a time
    private bool IsTaken(NvmeNamespace ns) => ns.IsPrivate && _controllers.Values.Any(c => c.Attached.Find(ns.Id) is not null);

    internal Controller[] Controllers()
    {
        lock (_lock)
        {
            return [.. _controllers.Values];
        }
    }
}
