using System.Buffers;
using System.Text.Json;
using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>The zones as JSON, a line for each, in bounded memory. Its fields are in docs/zones.md.</summary>
internal sealed class ZoneJson : IAsyncDisposable
{
    private const int FlushAt = 1 << 16;

    private static readonly JsonEncodedText Zone = JsonEncodedText.Encode("zone"), Start = JsonEncodedText.Encode("start"),
        Length = JsonEncodedText.Encode("length"), CapacityName = JsonEncodedText.Encode("capacity"),
        Pointer = JsonEncodedText.Encode("write_pointer"), WrittenName = JsonEncodedText.Encode("written"),
        Condition = JsonEncodedText.Encode("condition"), Type = JsonEncodedText.Encode("type"),
        Conventional = JsonEncodedText.Encode("conventional"), Sequential = JsonEncodedText.Encode("sequential"),
        Area = JsonEncodedText.Encode("zrwa");

    private static readonly JsonEncodedText[] Conditions =
        [.. Enumerable.Range(0, 16).Select(c => JsonEncodedText.Encode(ZoneNames.Name((ZoneCondition)c)))];

    private readonly OutputStream _output;
    private readonly Utf8JsonWriter _json, _line;
    private readonly ArrayBufferWriter<byte> _lineBytes = new(512);
    private long _written, _capacity;
    private int _shown;

    private ZoneJson(OutputStream output)
    {
        _output = output;
        _json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        _line = new Utf8JsonWriter(_lineBytes, new JsonWriterOptions { SkipValidation = true });
    }

    /// <summary>Writes the object.</summary>
    public static async ValueTask WriteAsync(
        IBlockDevice device, ZoneFilter filter, OutputStream output, CancellationToken cancellationToken)
    {
        var (open, active) = await ZoneSurvey.ActiveAsync(device, cancellationToken);
        await using (var to = new ZoneJson(output))
        {
            await to.WriteAsync(device, filter, cancellationToken);
            int? areas = device.Zones!.Limits.RandomArea.Size > 0 ? await ZoneSurvey.AreasAsync(device, cancellationToken) : null;
            to.WriteSummary(open, active, areas, ZoneSurvey.SpaceOnDisk(device));
        }

        output.Write("\n"u8);
    }

    public async ValueTask DisposeAsync()
    {
        await _line.DisposeAsync();
        await _json.DisposeAsync();
    }

    private async ValueTask WriteAsync(IBlockDevice device, ZoneFilter filter, CancellationToken cancellationToken)
    {
        _json.WriteStartObject();
        _json.WriteNumber("size", device.Length);
        ZonesVerb.WriteLimits(_json, device.Zones!.Limits);
        _json.WriteStartArray("zones");
        await ZoneSurvey.ForEachAsync(device, filter, WriteZone, cancellationToken);
        _json.WriteEndArray();
    }

    private void WriteSummary(int open, int active, int? areas, long? onDisk)
    {
        _json.WriteNumber("shown_zones", _shown);
        _json.WriteNumber("written", _written);
        _json.WriteNumber("capacity", _capacity);
        _json.WriteNumber("open_zones", open);
        _json.WriteNumber("active_zones", active);
        if (areas is { } count)
        {
            _json.WriteNumber("zrwa_zones", count);
        }

        if (onDisk is { } bytes)
        {
            _json.WriteNumber("allocated", bytes);
        }
        else
        {
            _json.WriteNull("allocated");
        }

        _json.WriteEndObject();
        _json.Flush();
    }

    private void WriteZone(int index, ZoneDescriptor zone)
    {
        _output.ThrowIfFailed();
        _lineBytes.ResetWrittenCount();
        _lineBytes.Write("\n    "u8);
        _line.Reset();
        _line.WriteStartObject();
        _line.WriteNumber(Zone, index);
        _line.WriteNumber(Start, zone.Start);
        _line.WriteNumber(Length, zone.Length);
        _line.WriteNumber(CapacityName, zone.Capacity);
        _line.WriteNumber(Pointer, zone.WritePointer);
        _shown++;
        if (zone.Type == ZoneType.Conventional)
        {
            _line.WriteNull(WrittenName);
        }
        else
        {
            long written = ZoneCell.WrittenIn(zone);
            _line.WriteNumber(WrittenName, written);
            _written += written;
            _capacity += zone.Capacity;
        }

        _line.WriteString(Condition, Conditions[(int)zone.Condition & 15]);
        _line.WriteString(Type, zone.Type == ZoneType.Conventional ? Conventional : Sequential);
        if (zone.HasRandomArea)
        {
            _line.WriteBoolean(Area, true);
        }

        _line.WriteEndObject();
        _line.Flush();
        _json.WriteRawValue(_lineBytes.WrittenSpan, skipInputValidation: true);
        if (_json.BytesPending > FlushAt)
        {
            _json.Flush();
        }
    }
}
