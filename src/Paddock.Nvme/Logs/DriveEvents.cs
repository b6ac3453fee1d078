using System.Text;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>Types of persistent events (NVMe base 2.0, figure 215).</summary>
internal static class DriveEventType
{
    /// <summary>The host has set the timestamp.</summary>
    public const byte TimestampChange = 0x03;

    /// <summary>Power on, or a reset of a controller.</summary>
    public const byte PowerOnOrReset = 0x04;

    /// <summary>Namespace Management.</summary>
    public const byte ChangeNamespace = 0x06;

    /// <summary>Format NVM begins.</summary>
    public const byte FormatStart = 0x07;

    /// <summary>Format NVM has ended.</summary>
    public const byte FormatCompletion = 0x08;

    /// <summary>A host has created its telemetry log.</summary>
    public const byte TelemetryCreated = 0x0C;

    /// <summary>Our own: a text about what happened.</summary>
    public const byte Text = 0xDE;

    /// <summary>All types that are recorded.</summary>
    public static ReadOnlySpan<byte> All
        => [TimestampChange, PowerOnOrReset, ChangeNamespace, FormatStart, FormatCompletion, TelemetryCreated, Text];
}

/// <summary>A persistent event.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Controller">The controller; FFFFh: none in particular.</param>
/// <param name="Milliseconds">When it happened, in milliseconds since 1970.</param>
/// <param name="Data">The event data, in the format of its type.</param>
internal sealed record DriveEvent(byte Type, ushort Controller, long Milliseconds, byte[] Data);

/// <summary>The last events in the life of a drive. All members are thread-safe.</summary>
internal sealed class DriveEvents(TimeProvider time)
{
    /// <summary>Events that are kept.</summary>
    public const int Capacity = 512;

    /// <summary>No controller in particular.</summary>
    public const ushort NoController = 0xFFFF;

    private const int MaxText = 256;

    private readonly Lock _lock = new();
    private readonly Queue<DriveEvent> _events = new();

    /// <summary>Raised after an event was added.</summary>
    public event Action? Added;

    /// <summary>The kept events, the oldest first.</summary>
    public DriveEvent[] Snapshot()
    {
        lock (_lock)
        {
            return [.. _events];
        }
    }

    /// <summary>Puts the events of earlier power cycles before those of this one.</summary>
    public void Continue(IEnumerable<DriveEvent> before)
    {
        lock (_lock)
        {
            DriveEvent[] all = [.. before, .. _events];
            _events.Clear();
            foreach (var known in all.Skip(Math.Max(0, all.Length - Capacity)))
            {
                _events.Enqueue(known);
            }
        }
    }

    /// <summary>Adds an event.</summary>
    public void Add(byte type, ushort controller, byte[] data)
    {
        lock (_lock)
        {
            while (_events.Count >= Capacity)
            {
                _events.Dequeue();
            }

            _events.Enqueue(new DriveEvent(type, controller, time.GetUtcNow().ToUnixTimeMilliseconds(), data));
        }

        Added?.Invoke();
    }

    /// <summary>Adds a text.</summary>
    /// <remarks>
    /// The data is a vendor specific event descriptor: code 1 (2), type 2, ASCII (1), UUID index (1), length (2), the text, zeroes.
    /// </remarks>
    public void AddText(string text, ushort controller = NoController)
    {
        const int header = 6;
        byte[] ascii = Encoding.ASCII.GetBytes(text.Length > MaxText ? text[..MaxText] : text);

        // hosts read logs in units of 4 bytes
        var data = new byte[(header + ascii.Length + 3) & ~3];
        var f = new Fields(data);
        f.U16(0, 1);
        f.U8(2, 2);
        f.U16(4, (ushort)ascii.Length);
        f.Bytes(header, ascii);
        Add(DriveEventType.Text, controller, data);
    }

    /// <summary>Adds the start of the drive, or a reset of a controller.</summary>
    /// <remarks>
    /// Firmware revision (8), then for each controller: identifier (2), firmware activation (1), operation in progress (1), reserved (12),
    /// power cycle (4), power on milliseconds (8), its timestamp (8).
    /// </remarks>
    public void AddPowerOnOrReset(ushort controller, HealthTotals totals, ulong timestamp)
    {
        var data = new byte[8 + 36];
        var f = new Fields(data);
        f.Padded(0, 8, Target.Controller.FirmwareRevision);
        f.U16(8, controller);
        f.U32(24, (uint)totals.PowerCycles);
        f.U64(28, (ulong)totals.PowerOn.TotalMilliseconds);
        f.U64(36, timestamp);
        Add(DriveEventType.PowerOnOrReset, controller, data);
    }

    /// <summary>Adds a change of the timestamp: the previous one (8), and milliseconds since the controller was reset (8).</summary>
    public void AddTimestampChange(ushort controller, ulong previous, TimeSpan sinceReset)
    {
        var data = new byte[16];
        var f = new Fields(data);
        f.U64(0, previous);
        f.U64(8, (ulong)sinceReset.TotalMilliseconds);
        Add(DriveEventType.TimestampChange, controller, data);
    }

    /// <summary>Adds a change of the set of namespaces.</summary>
    /// <remarks>
    /// Dword 10 (4), reserved (4), NSZE (8), reserved (8), NSCAP (8), FLBAS (1), DPS (1), NMIC (1), reserved (1), ANAGRPID (4),
    /// NVMSETID (2), reserved (2), NSID (4).
    /// </remarks>
    public void AddChangeNamespace(ushort controller, uint dword10, NvmeNamespace ns)
    {
        var data = new byte[48];
        var f = new Fields(data);
        f.U32(0, dword10);
        f.U64(8, ns.Blocks);
        f.U64(24, (ulong)(ns.CapacityBytes >> ns.BlockShift));
        f.U8(32, Identify.LbaFormats.IndexOf(ns.BlockShift));
        f.U8(34, (byte)(ns.IsShared ? 1 : 0));
        f.U32(44, ns.Id);
        Add(DriveEventType.ChangeNamespace, controller, data);
    }

    /// <summary>Adds the start of a Format NVM: NSID (4), FNA (1), reserved (3), dword 10 (4).</summary>
    public void AddFormatStart(ushort controller, uint namespaceId, byte attributes, uint dword10)
    {
        var data = new byte[12];
        var f = new Fields(data);
        f.U32(0, namespaceId);
        f.U8(4, attributes);
        f.U32(8, dword10);
        Add(DriveEventType.FormatStart, controller, data);
    }

    /// <summary>
    /// Adds the end of a Format NVM: NSID (4), smallest progress indicator (1), status (1), information (2), status field (4).
    /// </summary>
    public void AddFormatCompletion(ushort controller, uint namespaceId, byte percentLeft, NvmeStatus status)
    {
        const byte succeeded = 0, failed = 1;
        var data = new byte[12];
        var f = new Fields(data);
        f.U32(0, namespaceId);
        f.U8(4, percentLeft);
        f.U8(5, status == NvmeStatus.Success ? succeeded : failed);
        f.U32(8, (uint)((int)status << 1));
        Add(DriveEventType.FormatCompletion, controller, data);
    }
}
