using Paddock.Nvme.Ana;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>Errors of a controller, as an event reports them (NVMe base 2.0, figure 146).</summary>
internal enum ControllerError : byte
{
    /// <summary>The doorbell of a queue that does not exist was written.</summary>
    InvalidRegister = 0,

    /// <summary>The value is not a position of the queue.</summary>
    InvalidValue = 1,

    /// <summary>The controller has failed: the host is to reset it. Linux does so at once.</summary>
    Persistent = 3,
}

/// <summary>
/// Asynchronous events of one controller (NVMe base 2.0, 5.2): requests that wait, events that wait for a request, and the logs that an
/// event points at. A kind of event is reported once until its log has been read.
/// </summary>
internal sealed class ControllerEvents
{
    private const byte Error = 0, ErrorLog = 0x01;
    private const byte Notice = 2, NamespaceAttribute = 0x00, ZoneDescriptor = 0xEF, ChangedNamespaceLog = 0x04, ChangedZoneLog = 0xBF;
    private const ulong TelemetryChanged = Notice | (0x02u << 8) | (0x08u << 16), TemperatureExceeded = 1 | (0x01u << 8) | (0x02u << 16),
        NamespaceChange = Notice | (NamespaceAttribute << 8) | ((ulong)ChangedNamespaceLog << 16),
        AccessState = Notice | (0x03u << 8) | ((ulong)AnaLog.Id << 16);
    private const int TemperatureBit = 1, NamespaceBit = 8, TelemetryBit = 10, AccessBit = 11, ZoneBit = 27;
    private const int MaxChangedZones = 511, MaxChangedNamespaces = 1024;

    private readonly Lock _lock = new();
    private readonly Queue<Command> _requests = new();
    private readonly Queue<ulong> _waiting = new();
    private readonly SortedSet<uint> _namespaces = [];
    private readonly Dictionary<uint, SortedSet<ulong>> _zones = [];
    private readonly HashSet<ulong> _told = [];

    /// <summary>Events enabled by the host: Asynchronous Event Configuration, feature 0Bh.</summary>
    public uint Wanted { get; set; }

    /// <summary>Requests that wait for an event.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
            {
                return _requests.Count;
            }
        }
    }

    /// <summary>Accepts a request, which an event completes now or later.</summary>
    /// <returns>Null if it waits; else its status, with the event in the result of the command.</returns>
    public NvmeStatus? Request(Command command)
    {
        lock (_lock)
        {
            if (_waiting.TryDequeue(out ulong told))
            {
                command.Result = told;
                return NvmeStatus.Success;
            }

            if (_requests.Count > Identify.IdentifyController.EventRequestLimit)
            {
                return NvmeStatus.AsyncEventLimit;
            }

            _requests.Enqueue(command);
            return null;
        }
    }

    /// <summary>Ends a waiting request without an event.</summary>
    public bool Abort(ushort commandId)
    {
        Command? found = null;
        lock (_lock)
        {
            for (int i = _requests.Count; i > 0; i--)
            {
                var request = _requests.Dequeue();
                if (found is null && request.Entry.CommandId == commandId)
                {
                    found = request;
                }
                else
                {
                    _requests.Enqueue(request);
                }
            }
        }

        found?.Finish(NvmeStatus.AbortRequested);
        return found is not null;
    }

    /// <summary>Drops waiting requests and events: the controller has been reset or has ended. Requests get no completion.</summary>
    public void Clear()
    {
        Command[] requests;
        lock (_lock)
        {
            requests = [.. _requests];
            _requests.Clear();
            _waiting.Clear();
            _told.Clear();
            _namespaces.Clear();
            _zones.Clear();
        }

        Array.ForEach(requests, r => r.Drop());
    }

    /// <summary>
    /// Reports an error (NVMe base 2.0, 5.2.2): an event of the type that a host cannot disable. Not reported again until
    /// <see cref="ErrorsRead"/>.
    /// </summary>
    public void ErrorOccurred(ControllerError error)
        => Tell(Error | ((ulong)error << 8) | ((ulong)ErrorLog << 16));

    /// <summary>The host has read the Error Information log.</summary>
    public void ErrorsRead()
    {
        lock (_lock)
        {
            _told.RemoveWhere(told => (byte)told == Error);
        }
    }

    public void NamespaceChanged(uint id)
    {
        lock (_lock)
        {
            _namespaces.Add(id);
        }

        if ((Wanted & (1u << NamespaceBit)) != 0)
        {
            Tell(NamespaceChange);
        }
    }

    public void ZoneChanged(NvmeNamespace ns, int zone)
    {
        lock (_lock)
        {
            if (!_zones.TryGetValue(ns.Id, out var list))
            {
                _zones.Add(ns.Id, list = []);
            }

            // one more than the log holds: the log then reports an overflow
            if (list.Count <= MaxChangedZones)
            {
                list.Add((ulong)((zone * ns.Zones!.Limits.ZoneSize) >> ns.BlockShift));
            }
        }

        if ((Wanted & (1u << ZoneBit)) != 0)
        {
            Tell(Notice | (ZoneDescriptor << 8) | ((ulong)ChangedZoneLog << 16) | ((ulong)ns.Id << 32));
        }
    }

    /// <summary>Reports that the controller-initiated telemetry log has new data.</summary>
    public void TelemetryAvailable()
    {
        if ((Wanted & (1u << TelemetryBit)) != 0)
        {
            Tell(TelemetryChanged);
        }
    }

    /// <summary>Reports that the access state of a group of namespaces has changed (ANA change).</summary>
    public void AccessChanged()
    {
        if (FollowsAccess)
        {
            Tell(AccessState);
        }
    }

    /// <summary>Reports that the temperature is at a threshold or beyond it.</summary>
    public void TemperatureWarning()
    {
        if ((Wanted & (1u << TemperatureBit)) != 0)
        {
            Tell(TemperatureExceeded);
        }
    }

    /// <summary>The telemetry log has been read.</summary>
    public void ForgetTelemetry() => Forget(TelemetryChanged);

    /// <summary>Whether the host follows the access states.</summary>
    public bool FollowsAccess => (Wanted & (1u << AccessBit)) != 0;

    /// <summary>Whether the host has not read the ANA log since the latest change.</summary>
    public bool OwesAccess => Owes(AccessState);

    /// <summary>Whether the host has not read the Changed Namespace List log since the latest change.</summary>
    public bool OwesNamespaces => Owes(NamespaceChange);

    /// <summary>The ANA log has been read.</summary>
    public void ForgetAccess() => Forget(AccessState);

    /// <summary>The SMART log has been read.</summary>
    public void ForgetHealth() => Forget(TemperatureExceeded);

    /// <summary>The Changed Namespace List log, 04h: identifiers, or FFFFFFFFh alone when there are too many.</summary>
    public byte[] TakeChangedNamespaces(bool forget)
    {
        var page = new byte[4096];
        var f = new Fields(page);
        lock (_lock)
        {
            int at = 0;
            foreach (uint id in _namespaces.Count > MaxChangedNamespaces ? [uint.MaxValue] : _namespaces.AsEnumerable())
            {
                f.U32(4 * at++, id);
            }

            if (forget)
            {
                _namespaces.Clear();
                _told.Remove(NamespaceChange);
            }
        }

        return page;
    }

    /// <summary>The Changed Zone List log, BFh (ZNS command set 1.1, 4.1.2): NRZID at 0, zone identifiers from 8 on.</summary>
    public byte[] TakeChangedZones(NvmeNamespace ns, bool forget)
    {
        var page = new byte[4096];
        var f = new Fields(page);
        lock (_lock)
        {
            if (_zones.TryGetValue(ns.Id, out var list))
            {
                bool tooMany = list.Count > MaxChangedZones;
                f.U16(0, tooMany ? ushort.MaxValue : (ushort)list.Count);
                int at = 1;
                foreach (ulong zone in tooMany ? [] : list.AsEnumerable())
                {
                    f.U64(8 * at++, zone);
                }
            }

            if (forget)
            {
                _zones.Remove(ns.Id);
                _told.Remove(Notice | (ZoneDescriptor << 8) | ((ulong)ChangedZoneLog << 16) | ((ulong)ns.Id << 32));
            }
        }

        return page;
    }

    private bool Owes(ulong told)
    {
        lock (_lock)
        {
            return _told.Contains(told);
        }
    }

    private void Forget(ulong told)
    {
        lock (_lock)
        {
            _told.Remove(told);
        }
    }

    private void Tell(ulong told)
    {
        Command? request;
        lock (_lock)
        {
            if (!_told.Add(told))
            {
                return;
            }

            if (!_requests.TryDequeue(out request))
            {
                // a host that reads the logs and sends no requests collects no events
                if (!_waiting.Contains(told))
                {
                    _waiting.Enqueue(told);
                }

                return;
            }
        }

        request.Result = told;
        request.Finish(NvmeStatus.Success);
    }
}
