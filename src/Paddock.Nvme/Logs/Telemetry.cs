using System.Text.Json;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Logs;

/// <summary>
/// The telemetry logs of a subsystem (NVMe base 2.0, 5.16.1.8 and 5.16.1.9): host-initiated, 07h, a snapshot taken when a host asks for
/// one, and controller-initiated, 08h, taken when something went wrong. The data is JSON text, filled up with zeroes.
/// </summary>
/// <remarks>
/// <code>
/// 0    1  log                 8   2  last block of area 1        380  1  scope of 07h: 3, subsystem    382  1  08h: data is available
/// 5    3  IEEE identifier     10  4  last blocks of areas 2, 3   381  1  generation of 07h             383  1  generation of 08h
/// 384  128 reason, ASCII      512    data, in blocks of 512
/// </code>
/// docs/nvme.md describes the text.
/// </remarks>
internal sealed class Telemetry(NvmeSubsystem subsystem)
{
    /// <summary>Bytes of a block, and of the header.</summary>
    public const int Block = 512;

    private const byte HostLog = 0x07, ControllerLog = 0x08, SubsystemScope = 3;
    private const int MaxEvents = 64;
    private const long MediaErrorInterval = 60_000;

    private readonly Lock _lock = new();
    private byte[]? _hostData, _controllerData;
    private string _reason = "";
    private byte _hostGeneration, _controllerGeneration;
    private bool _isAvailable;
    private long _mediaErrorAt = -MediaErrorInterval;

    /// <summary>Takes a snapshot because something went wrong, and notifies the hosts that want to know.</summary>
    /// <param name="reason">What went wrong, in ASCII; it is cut at 128 characters.</param>
    public void Record(string reason)
    {
        byte[] data = Snapshot(null, reason);
        lock (_lock)
        {
            _controllerData = data;
            _reason = reason;
            _controllerGeneration++;
            _isAvailable = true;
        }

        foreach (var controller in subsystem.Controllers())
        {
            controller.Events.TelemetryAvailable();
        }
    }

    /// <summary>Takes a snapshot after a failure of the medium, unless one was taken shortly before.</summary>
    public void RecordMediaError()
    {
        long now = Environment.TickCount64, last = Volatile.Read(ref _mediaErrorAt);
        if (now - last >= MediaErrorInterval && Interlocked.CompareExchange(ref _mediaErrorAt, now, last) == last)
        {
            ThreadPool.QueueUserWorkItem(static telemetry => telemetry.Record("media error"), this, preferLocal: false);
        }
    }

    /// <summary>Log 07h.</summary>
    /// <param name="controller">The controller that is asked.</param>
    /// <param name="creates">Whether to take a snapshot; otherwise, the previous one is returned.</param>
    public byte[] HostInitiated(Controller controller, bool creates)
    {
        byte[]? created = creates ? Snapshot(controller, "requested by a host") : null;
        byte[] page;
        lock (_lock)
        {
            if (created is not null)
            {
                _hostData = created;
                _hostGeneration++;
            }

            page = Page(HostLog, _hostData ?? [], "");
        }

        if (creates)
        {
            subsystem.EventLog.Add(DriveEventType.TelemetryCreated, controller.Id, page[..Block]);
        }

        return page;
    }

    /// <summary>Log 08h.</summary>
    /// <param name="controller">The controller that is asked.</param>
    /// <param name="forgets">Whether the data has been read, and need not be announced any more.</param>
    public byte[] ControllerInitiated(Controller controller, bool forgets)
    {
        lock (_lock)
        {
            byte[] page = Page(ControllerLog, _controllerData ?? [], _reason);
            if (forgets)
            {
                _isAvailable = false;
                controller.Events.ForgetTelemetry();
            }

            return page;
        }
    }

    // all of the data is in area 1, which is also the end of the others
    private byte[] Page(byte log, byte[] data, string reason)
    {
        var page = new byte[Block + ((data.Length + Block - 1) / Block * Block)];
        var f = new Fields(page);
        ushort last = (ushort)((page.Length / Block) - 1);
        f.U8(0, log);
        f.U16(8, last);
        f.U16(10, last);
        f.U16(12, last);
        f.U8(380, log == HostLog ? SubsystemScope : (byte)0);
        f.U8(381, log == HostLog ? _hostGeneration : (byte)0);
        f.U8(382, (byte)(_isAvailable ? 1 : 0));
        f.U8(383, _controllerGeneration);
        f.Padded(384, 128, reason);
        f.Bytes(Block, data);
        return page;
    }

    private byte[] Snapshot(Controller? controller, string reason)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("subsystem", subsystem.Nqn);
            json.WriteString("reason", reason);
            json.WriteNumber("time_ms", TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());
            WriteTotals(json, subsystem.Health.Totals());
            WriteControllers(json, controller);
            WriteNamespaces(json);
            WriteEvents(json);
            json.WriteEndObject();
        }

        text.WriteByte((byte)'\n');
        return text.ToArray();
    }

    private static void WriteTotals(Utf8JsonWriter json, HealthTotals totals)
    {
        json.WriteStartObject("totals");
        json.WriteNumber("bytes_read", totals.BytesRead);
        json.WriteNumber("bytes_written", totals.BytesWritten);
        json.WriteNumber("reads", totals.Reads);
        json.WriteNumber("writes", totals.Writes);
        json.WriteNumber("busy_ms", (long)totals.Busy.TotalMilliseconds);
        json.WriteNumber("power_on_ms", (long)totals.PowerOn.TotalMilliseconds);
        json.WriteNumber("power_cycles", totals.PowerCycles);
        json.WriteNumber("unsafe_shutdowns", totals.UnsafeShutdowns);
        json.WriteNumber("media_errors", totals.MediaErrors);
        json.WriteEndObject();
    }

    private void WriteControllers(Utf8JsonWriter json, Controller? asked)
    {
        json.WriteStartArray("controllers");
        foreach (var controller in subsystem.Controllers())
        {
            json.WriteStartObject();
            json.WriteNumber("id", controller.Id);

            // a host learns nothing of other hosts
            if (controller == asked)
            {
                json.WriteString("host", controller.Host);
            }

            json.WriteNumber("errors", controller.Errors.Count);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteNamespaces(Utf8JsonWriter json)
    {
        json.WriteStartArray("namespaces");
        foreach (var ns in subsystem.Namespaces)
        {
            json.WriteStartObject();
            json.WriteNumber("id", ns.Id);
            json.WriteString("name", ns.Name);
            json.WriteNumber("bytes", ns.Device.Length);
            json.WriteNumber("block_size", ns.BlockSize);
            json.WriteBoolean("zoned", ns.Zones is not null);
            json.WriteStartObject("commands");
            foreach (var operation in Enum.GetValues<ServedOperation>())
            {
                json.WriteNumber(JsonNamingPolicy.SnakeCaseLower.ConvertName(operation.ToString()), ns.Statistics[operation]);
            }

            json.WriteEndObject();
            json.WriteNumber("errors", ns.Statistics.Errors);
            json.WriteNumber("bytes_read", ns.Statistics.BytesRead);
            json.WriteNumber("bytes_written", ns.Statistics.BytesWritten);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteEvents(Utf8JsonWriter json)
    {
        json.WriteStartArray("events");
        foreach (var known in subsystem.EventLog.Snapshot().TakeLast(MaxEvents))
        {
            json.WriteStartObject();
            json.WriteNumber("time_ms", known.Milliseconds);
            json.WriteNumber("type", known.Type);
            if (known.Type == DriveEventType.Text)
            {
                json.WriteString("text", System.Text.Encoding.ASCII.GetString(known.Data.AsSpan(6)));
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
