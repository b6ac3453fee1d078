using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme;

/// <summary>A subsystem: a name, its namespaces, and the hosts that may connect.</summary>
public sealed class NvmeSubsystem
{
    /// <summary>Longest qualified name, in bytes.</summary>
    public const int MaxNqn = ConnectData.MaxNqn;

    private const int MaxControllers = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<ushort, Controller> _controllers = [];
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

    internal uint MaxNamespaceId => _namespaces is [.., var last] ? last.Id : 0;

    /// <summary>Adds a namespace and notifies connected hosts.</summary>
    public void Add(NvmeNamespace ns)
    {
        ns.Join(Nqn);
        lock (_lock)
        {
            if (_namespaces.Any(n => n.Id == ns.Id))
            {
                throw new ArgumentException($"subsystem {Nqn} has a namespace {ns.Id} already");
            }

            _namespaces = [.. _namespaces.Append(ns).OrderBy(n => n.Id)];
        }

        TellChanged(ns);
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
        foreach (var controller in Controllers())
        {
            controller.Events.ZoneChanged(ns, zone);
        }
    }

    private void TellChanged(NvmeNamespace ns)
    {
        foreach (var controller in Controllers())
        {
            controller.Events.NamespaceChanged(ns.Id);
        }
    }

    internal NvmeNamespace? Find(uint id)
    {
        // identifiers count from 1 without holes unless a configuration says otherwise
        var all = _namespaces;
        return id - 1 < (uint)all.Length && all[id - 1].Id == id ? all[id - 1] : Search(all, id);
    }

    // apart, since what a predicate captures would be allocated whether it is used or not
    private static NvmeNamespace? Search(NvmeNamespace[] all, uint id) => Array.Find(all, n => n.Id == id);

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

    internal (long Reads, long Writes, long BytesRead, long BytesWritten) Totals()
    {
        (long Reads, long Writes, long BytesRead, long BytesWritten) sum = default;
        foreach (var s in _namespaces.Select(n => n.Statistics))
        {
            long writes = s.Sum(ServedOperation.Write, ServedOperation.Append, ServedOperation.Zeroes);
            sum = (sum.Reads + s[ServedOperation.Read], sum.Writes + writes, sum.BytesRead + s.BytesRead, sum.BytesWritten
                + s.BytesWritten);
        }

        return sum;
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
                _lastController = (ushort)(_lastController >= 0xFFEF ? 1 : _lastController + 1);
            }
            while (_controllers.ContainsKey(_lastController));
            var controller = new Controller(target, this, _lastController, host, hostId, traits);
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
        lock (_lock)
        {
            _controllers.Remove(controller.Id);
        }
    }

    internal Controller[] Controllers()
    {
        lock (_lock)
        {
            return [.. _controllers.Values];
        }
    }
}
