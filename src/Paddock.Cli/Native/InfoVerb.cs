using System.Text.Json;
using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock info`: shows the properties of an image as text or JSON.</summary>
public static class InfoVerb
{
    /// <summary>Prints the properties of the image at <paramref name="path"/>.</summary>
    public static async ValueTask RunAsync(string path, bool json, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenAsync(path, writable: false, console, cancellationToken, forInfo: true);
        if (json)
        {
            WriteJson(path, device, console);
        }
        else
        {
            WriteText(path, device, console);
        }
    }

    private static void WriteText(string path, IQcow2Device device, NativeConsole console)
    {
        var info = device.Info;
        void Line(string name, string value) => console.Out.WriteLine($"{name + ':',-20} {value}");
        Line("image", EscapedText.Escape(path));
        Line("format", $"qcow2, version {info.Version}");
        Line("virtual size", $"{SizeText.Human(info.VirtualSize)} ({info.VirtualSize} bytes)");
        Line("disk usage", device.Storage.AllocatedBytes < 0 ? "unknown" : SizeText.Human(device.Storage.AllocatedBytes));
        Line("cluster size", SizeText.Human(info.ClusterSize)
            + (info.ExtendedL2 ? $", subclusters of {SizeText.Human(info.SubclusterSize)}" : ""));
        Line("state", info.Corrupt ? "marked corrupt: run 'paddock check --repair all'" : info.Dirty ? "not closed cleanly" : "clean");
        if (info.BackingFile is { } backing)
        {
            Line("backing file", EscapedText.Escape(backing + (info.BackingFormat is { } format ? $" ({format})" : "")));
        }

        var snapshots = new BoundedLines(value => Line("snapshot", value), BoundedLines.Snapshots);
        foreach (var snapshot in info.Snapshots)
        {
            snapshots.Add($"{BoundedLines.Name(snapshot.Id)} {BoundedLines.Name(snapshot.Name)}");
        }

        snapshots.End();

        var bitmaps = new BoundedLines(value => Line("bitmap", value), BoundedLines.Snapshots);
        foreach (var bitmap in info.Bitmaps)
        {
            bitmaps.Add(BoundedLines.Name(bitmap.Name) + (bitmap.InUse ? " (not saved)" : ""));
        }

        bitmaps.End();
        if (info.Unsupported is { } unsupported)
        {
            Line("not supported", EscapedText.Escape(unsupported));
        }

        if (info.Zoned is not { } zoned)
        {
            Line("zones", "none");
            return;
        }

        var limits = zoned.Limits;
        Line("zones", $"{limits.ZoneCount} of {SizeText.Human(limits.ZoneSize)}, capacity {SizeText.Human(limits.ZoneCapacity)}");
        Line("conventional zones", limits.ConventionalZones.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Line("max open zones", Limit(limits.MaxOpenZones));
        Line("max active zones", Limit(limits.MaxActiveZones));
        Line("max append", limits.MaxAppendBytes == 0 ? "no limit" : SizeText.Human(limits.MaxAppendBytes));
        if (zoned.ReadOnlyZones + zoned.OfflineZones > 0)
        {
            Line("retired zones", $"{zoned.ReadOnlyZones} read-only, {zoned.OfflineZones} offline");
        }

        if (zoned.ExtendedZones > 0)
        {
            Line("zone extensions", $"{zoned.ExtendedZones} descriptor extensions of {zoned.ExtensionBytes} bytes");
        }

        Line("zone layout", zoned.Layout + (zoned.TableInForeignOrder ? ", zone table in the byte order of another layout" : ""));
    }

    private static string Limit(uint limit)
        => limit == 0 ? "no limit" : limit.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static void WriteJson(string path, IQcow2Device device, NativeConsole console)
    {
        console.Out.Flush();
        using var json = new Utf8JsonWriter(console.OutStream, new JsonWriterOptions { Indented = true });
        var info = device.Info;
        json.WriteStartObject();
        json.WritePropertyName("image");
        json.WriteRawValue(JsonText.Compact(path));
        json.WriteString("format", "qcow2");
        json.WriteNumber("version", info.Version);
        json.WriteNumber("size", info.VirtualSize);
        json.WriteNumber("allocated", device.Storage.AllocatedBytes);
        json.WriteNumber("cluster_size", info.ClusterSize);
        json.WriteNumber("subcluster_size", info.SubclusterSize);
        json.WriteNumber("refcount_bits", info.RefcountBits);
        json.WriteBoolean("dirty", info.Dirty);
        json.WriteBoolean("corrupt", info.Corrupt);
        if (info.BackingFile is { } backing)
        {
            json.WritePropertyName("backing_file");
            json.WriteRawValue(JsonText.Compact(backing));
        }

        if (info.Unsupported is { } unsupported)
        {
            json.WriteString("not_supported", unsupported);
        }

        if (info.Zoned is { } zoned)
        {
            json.WriteStartObject("zoned");
            json.WriteString("layout", zoned.Layout.ToString());
            ZonesVerb.WriteLimits(json, zoned.Limits);
            json.WriteNumber("read_only_zones", zoned.ReadOnlyZones);
            json.WriteNumber("offline_zones", zoned.OfflineZones);
            json.WriteNumber("extended_zones", zoned.ExtendedZones);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.Flush();
        console.Out.WriteLine();
    }
}
