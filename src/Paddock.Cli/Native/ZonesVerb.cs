using System.Text.Json;
using Paddock.Block;

namespace Paddock.Cli.Native;

/// <summary>How `paddock zones` shows the zones.</summary>
public enum ZonesView
{
    /// <summary>A map.</summary>
    Map,

    /// <summary>A line for each zone.</summary>
    Table,

    /// <summary>JSON.</summary>
    Json,
}

/// <summary>`paddock zones`: pointers, conditions and resources in use.</summary>
public static class ZonesVerb
{
    /// <summary>Shows the zones of the image at <paramref name="path"/>.</summary>
    public static async ValueTask RunAsync(
        string path, ZonesView view, NativeConsole console, ReadOnlyMemory<byte>? passphrase = null, bool forceShare = false,
        CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(
            path, writable: false, console, cancellationToken, passphrase, forceShare);
        await (view switch
        {
            ZonesView.Table => WriteTableAsync(device, console, cancellationToken),
            ZonesView.Json => WriteJsonAsync(device, console, cancellationToken),
            _ => ZoneMap.DrawAsync(device, Path.GetFileName(path), console, cancellationToken),
        });
    }

    internal static void WriteLimits(Utf8JsonWriter json, ZonedLimits limits)
    {
        json.WriteNumber("zone_size", limits.ZoneSize);
        json.WriteNumber("zone_capacity", limits.ZoneCapacity);
        json.WriteNumber("zone_count", limits.ZoneCount);
        json.WriteNumber("conventional_zones", limits.ConventionalZones);
        json.WriteNumber("max_open_zones", limits.MaxOpenZones);
        json.WriteNumber("max_active_zones", limits.MaxActiveZones);
        json.WriteNumber("max_append_bytes", limits.MaxAppendBytes);
    }

    private static ValueTask WriteTableAsync(IBlockDevice device, NativeConsole console, CancellationToken cancellationToken)
    {
        console.Out.WriteLine($"{"zone",8} {"start",18} {"length",12} {"capacity",12} {"written",12} {"pointer",18}  condition");
        return ZoneSurvey.ForEachAsync(
            device,
            (index, zone) =>
            {
                bool conventional = zone.Type == ZoneType.Conventional;
                string written = conventional ? "-" : $"{Math.Min(zone.WritePointer - zone.Start, zone.Capacity)}";
                string pointer = conventional ? "-" : $"0x{zone.WritePointer:x}";
                console.OutStream.ThrowIfFailed();
                console.Out.WriteLine(
                    $"{index,8} {$"0x{zone.Start:x}",18} {zone.Length,12} {zone.Capacity,12} {written,12} {pointer,18}  "
                    + ZoneNames.Name(zone.Condition));
            },
            cancellationToken);
    }

    private static async ValueTask WriteJsonAsync(IBlockDevice device, NativeConsole console, CancellationToken cancellationToken)
    {
        console.Out.Flush();
        await using var json = new Utf8JsonWriter(console.OutStream, new JsonWriterOptions { Indented = true });
        int open = 0;
        int active = 0;
        json.WriteStartObject();
        json.WriteNumber("size", device.Length);
        WriteLimits(json, device.Zones!.Limits);
        json.WriteStartArray("zones");
        await ZoneSurvey.ForEachAsync(
            device,
            (index, zone) =>
            {
                open += ZoneNames.IsOpen(zone.Condition) ? 1 : 0;
                active += ZoneNames.IsActive(zone.Condition) ? 1 : 0;
                console.OutStream.ThrowIfFailed();
                WriteZone(json, index, zone);
                if (json.BytesPending > 1 << 16)
                {
                    json.Flush();
                }
            },
            cancellationToken);
        json.WriteEndArray();
        json.WriteNumber("open_zones", open);
        json.WriteNumber("active_zones", active);
        json.WriteEndObject();
        json.Flush();
        console.Out.WriteLine();
    }

    private static void WriteZone(Utf8JsonWriter json, int index, ZoneDescriptor zone)
    {
        json.WriteStartObject();
        json.WriteNumber("zone", index);
        json.WriteNumber("start", zone.Start);
        json.WriteNumber("length", zone.Length);
        json.WriteNumber("capacity", zone.Capacity);
        json.WriteNumber("write_pointer", zone.WritePointer);
        json.WriteString("condition", ZoneNames.Name(zone.Condition));
        json.WriteString("type", zone.Type == ZoneType.Conventional ? "conventional" : "sequential");
        json.WriteEndObject();
    }
}
