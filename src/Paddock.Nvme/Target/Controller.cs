using System.Net;
using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>A queue's connection, as its controller sees it; it is disposed when the controller ends it.</summary>
internal interface IControllerQueue : IDisposable
{
    /// <summary>Whether an authentication of the queue is due or running.</summary>
    bool IsAuthenticating { get; }

    /// <summary>Ends a command of the queue that an injected fault holds.</summary>
    /// <returns>False when there is no such command: it is unknown, or ends by itself.</returns>
    bool TryAbort(ushort commandId);
}

/// <summary>A controller: one host's access to a subsystem, over one admin queue and some I/O queues.</summary>
internal sealed class Controller(
    NvmeTarget target, NvmeSubsystem subsystem, ushort id, string host, UInt128 hostId, ControllerTraits traits)
{
    /// <summary>Name and version reported by Identify.</summary>
    public const string Model = "Paddock", FirmwareRevision = "0.1";

    // 10 minutes; the field has room for 49 days
    private const uint LongestKeepAlive = 600_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<ushort, IControllerQueue> _queues = [];

    // connections of I/O queues that have not authenticated: anybody can open them
    private readonly List<IControllerQueue> _expected = [];
    private long _lastSeen = Environment.TickCount64;
    private uint _status;
    private volatile bool _gone;

    public ushort Id => id;

    public NvmeSubsystem Subsystem => subsystem;

    public NvmeTarget Target => target;

    public string Host => host;

    public UInt128 HostId => hostId;

    /// <summary>What depends on the transport.</summary>
    public ControllerTraits Traits => traits;

    public bool IsDiscovery => ReferenceEquals(subsystem, target.Discovery);

    public int MaxTransfer => target.Options.MaxTransferBytes;

    /// <summary>The namespaces attached to it: no other reaches its commands.</summary>
    public AttachedNamespaces Attached { get; } = new();

    public ControllerEvents Events { get; } = new();

    public Features Features { get; private set; } = new();

    /// <summary>Log of the latest failed commands.</summary>
    public ErrorLog Errors { get; } = new(traits.Transport);

    /// <summary>The features of interrupts; null on a transport without.</summary>
    public InterruptSettings? Interrupts { get; private set; } = InterruptsOf(traits);

    /// <summary>Whether the host has created I/O queues.</summary>
    public bool HasIoQueues
    {
        get
        {
            lock (_lock)
            {
                return _queues.Keys.Any(q => q != 0);
            }
        }
    }

    /// <summary>The greatest identifier of an I/O submission queue, as the host has agreed on.</summary>
    public int SubmissionQueues => Features.SubmissionQueues ?? traits.IoQueues;

    /// <summary>The greatest identifier of an I/O completion queue, as the host has agreed on.</summary>
    public int CompletionQueues => Features.CompletionQueues ?? traits.IoQueues;

    /// <summary>What the host reads of the persistent events.</summary>
    public EventReport EventReport { get; } = new();

    /// <summary>Where the host reached us.</summary>
    public IPEndPoint? LocalAddress { get; set; }

    /// <summary>Keep alive timeout in milliseconds; 0 for none.</summary>
    public uint KeepAliveTimeout { get; set; }

    /// <summary>CC.</summary>
    public uint Configuration { get; set; }

    /// <summary>CSTS.</summary>
    public uint StatusProperty => Volatile.Read(ref _status);

    public bool IsReady => (StatusProperty & Properties.Ready) != 0;

    /// <summary>Whether the host uses a keep alive timeout of acceptable length.</summary>
    public bool HasKeepAlive => KeepAliveTimeout is > 0 and <= LongestKeepAlive;

    /// <summary>Whether the host has ever sent Keep Alive: it does so once all of its queues are set up.</summary>
    public bool HasKeptAlive { get; set; }

    /// <summary>Time since anything was received from the host; unauthenticated queues do not count.</summary>
    public long SilentMilliseconds => Environment.TickCount64 - Volatile.Read(ref _lastSeen);

    /// <summary>
    /// Whether the host has been idle for too long. A host that authenticates a queue computes silently: that has its own timeout.
    /// </summary>
    public bool IsExpired
        => KeepAliveTimeout != 0 && SilentMilliseconds is var silent && silent > KeepAliveTimeout && !IsAuthenticating(silent);

    /// <summary>Returns the attached namespace with an identifier; null if no such namespace is attached.</summary>
    public NvmeNamespace? Find(uint namespaceId) => Attached.Find(namespaceId);

    /// <summary>Status of a command for a namespace that is not attached.</summary>
    public NvmeStatus RefusalOf(uint namespaceId)
        => namespaceId is 0 || namespaceId > subsystem.NamespaceLimit ? NvmeStatus.InvalidNamespace : NvmeStatus.InvalidField;

    public void Touch() => Volatile.Write(ref _lastSeen, Environment.TickCount64);

    public IdentifyController Describe() => new()
    {
        OffersUncorrectable = subsystem.OffersUncorrectable,
        AllowsCopy = subsystem.AllowsCopy,
        SerialNumber = subsystem.SerialNumber,
        Model = Model,
        Firmware = FirmwareRevision,
        ControllerId = id,
        SubsystemNqn = subsystem.Nqn,
        Discovery = IsDiscovery,
        Shared = subsystem.Shared,
        AccessGroups = subsystem.AccessGroupLimit,
        MaxTransfer = MaxTransfer,
        InCapsule = target.Options.InCapsuleBytes,
        QueueEntries = target.Options.QueueEntries,
        Namespaces = subsystem.NamespaceLimit,
        AllowsFormat = subsystem.AllowsFormat,
        Capacity = subsystem.Manager is { } manager ? (manager.TotalBytes, manager.FreeBytes) : null,
        Incarnation = unchecked(target.Incarnation + subsystem.AccessLosses),
        Traits = traits,
    };

    public byte[] DiscoveryPage() => DiscoveryLog.Build(
        target.Generation, LocalAddress ?? new IPEndPoint(IPAddress.Loopback, 0), target.SubsystemsFor(host));

    /// <summary>Adds a queue; false if its number is in use or the controller has ended.</summary>
    public bool Attach(ushort queue, IControllerQueue connection)
    {
        lock (_lock)
        {
            return !_gone && _queues.TryAdd(queue, connection);
        }
    }

    /// <summary>
    /// Adds an authenticated queue; false if its number is in use, or its connection or the controller has ended: the end of the
    /// connection may occur while the last message of the exchange is computed.
    /// </summary>
    public bool Admit(ushort queue, IControllerQueue connection)
    {
        lock (_lock)
        {
            return _expected.Remove(connection) && !_gone && _queues.TryAdd(queue, connection);
        }
    }

    /// <summary>
    /// Records a connection that becomes a queue once it has authenticated; until then it occupies no number. False if the number is in
    /// use or the controller has ended.
    /// </summary>
    public bool Expect(ushort queue, IControllerQueue connection)
    {
        lock (_lock)
        {
            if (_gone || _queues.ContainsKey(queue))
            {
                return false;
            }

            _expected.Add(connection);
            return true;
        }
    }

    /// <summary>Removes a queue whose connection has ended; the controller ends with its admin queue.</summary>
    public void Detach(ushort queue, IControllerQueue connection)
    {
        bool was;
        lock (_lock)
        {
            _expected.Remove(connection);
            was = ReferenceEquals(_queues.GetValueOrDefault(queue), connection) && _queues.Remove(queue);
        }

        if (was && queue == 0)
        {
            End();
        }
    }

    /// <summary>Ends a command of an I/O queue that an injected fault holds; false when there is no such command.</summary>
    public bool TryAbort(ushort queue, ushort commandId)
    {
        IControllerQueue? connection;
        lock (_lock)
        {
            connection = _queues.GetValueOrDefault(queue);
        }

        return connection?.TryAbort(commandId) == true;
    }

    /// <summary>
    /// Ends the controller and its connections. A PCI function cannot end by itself: its queues end, and the host can reset it.
    /// </summary>
    public void End()
    {
        // on a PCI bus, the controller stays and the host is told: it must reset it
        bool isTold = traits.Transport != NvmeTransport.Tcp;
        if (!isTold)
        {
            Remove();
        }

        IDisposable[] queues;
        lock (_lock)
        {
            queues = [.. _queues.Values, .. _expected];
            _queues.Clear();
            _expected.Clear();
        }

        if (!isTold)
        {
            Events.Clear();
        }
        foreach (var queue in queues)
        {
            queue.Dispose();
        }
    }

    /// <summary>Removes the controller from its subsystem; it accepts no more queues.</summary>
    public void Remove()
    {
        lock (_lock)
        {
            _gone = true;
        }

        subsystem.Remove(this);
    }

    /// <summary>Property Get; null for an unknown property.</summary>
    public ulong? GetProperty(uint offset, bool eightBytes) => (offset, eightBytes) switch
    {
        (Properties.Capabilities, true) => Properties.CapabilitiesOf(target.Options.QueueEntries, Properties.FabricReadyTime),
        (Properties.Version, false) => Properties.Version20,
        (Properties.Configuration, false) => Configuration,
        (Properties.Status, false) => StatusProperty,
        (Properties.SubsystemReset, false) => 0,
        _ => null,
    };

    /// <summary>Property Set: CC alone can be set. A shutdown makes everything durable before it is complete.</summary>
    public async ValueTask<NvmeStatus> SetPropertyAsync(uint offset, ulong value)
    {
        if (offset != Properties.Configuration)
        {
            return NvmeStatus.InvalidField;
        }

        uint before = Configuration;
        Configuration = (uint)value;
        bool enabled = (Configuration & Properties.Enable) != 0;
        if (((Configuration >> Properties.ShutdownShift) & 3) != 0 && ((before >> Properties.ShutdownShift) & 3) == 0)
        {
            // waiting for the disk must not block the receiving thread
            await Task.Yield();
            SetStatus(await FlushAllAsync() ? Properties.ShutdownComplete : Properties.ShutdownComplete | Properties.Fatal);
        }

        if (enabled && (before & Properties.Enable) == 0)
        {
            Enable();
        }
        else if (!enabled && (before & Properties.Enable) != 0)
        {
            Reset();
        }

        return NvmeStatus.Success;
    }

    /// <summary>The host has enabled the controller.</summary>
    public void Enable()
    {
        Volatile.Write(ref _status, Properties.Ready);
        if (!IsDiscovery)
        {
            subsystem.EventLog.AddPowerOnOrReset(id, subsystem.Health.Totals(), Features.Clock.Read());
        }
    }

    /// <summary>Sets bits of CSTS.</summary>
    public void SetStatus(uint bits) => Interlocked.Or(ref _status, bits);

    /// <summary>Clears bits of CSTS.</summary>
    public void ClearStatus(uint bits) => Interlocked.And(ref _status, ~bits);

    /// <summary>
    /// The host has disabled the controller: features return to their defaults, requests for events are dropped, and the I/O queues end; an
    /// admin queue over TCP stays.
    /// </summary>
    public void Reset()
    {
        IDisposable[] queues;
        lock (_lock)
        {
            _queues.Remove(0, out var admin);
            queues = [.. _queues.Values, .. _expected];
            _queues.Clear();
            _expected.Clear();
            if (admin is not null && traits.Transport == NvmeTransport.Tcp)
            {
                _queues.Add(0, admin);
            }
        }

        Volatile.Write(ref _status, 0);
        Features = new Features();
        Interrupts = InterruptsOf(traits);
        EventReport.Reset();
        Events.Wanted = 0;
        Events.Clear();
        foreach (var queue in queues)
        {
            queue.Dispose();
        }
    }

    /// <summary>Makes the data of every namespace durable.</summary>
    /// <returns>False when one could not be flushed.</returns>
    public async ValueTask<bool> FlushAllAsync()
    {
        bool all = true;
        foreach (var ns in Attached.All)
        {
            // the server that has its data flushes them
            if (ns.AccessRefusal != NvmeStatus.Success)
            {
                continue;
            }

            try
            {
                await ns.Device.FlushAsync();
            }
            catch (Exception e) when (e is BlockException or ObjectDisposedException)
            {
                all = false;
            }
        }

        return all;
    }

    private static InterruptSettings? InterruptsOf(ControllerTraits traits)
        => traits.Transport == NvmeTransport.Pcie ? new InterruptSettings(traits.Vectors) : null;

    // connections without a key count only while the host sets its queues up, and not for long: else anybody could keep a dead host's
    // controller
    private bool IsAuthenticating(long silent)
    {
        lock (_lock)
        {
            return _queues.Values.Any(q => q.IsAuthenticating)
                || (!HasKeptAlive && silent < target.Options.AuthenticationTimeout.TotalMilliseconds
                && _expected.Exists(q => q.IsAuthenticating));
        }
    }
}
