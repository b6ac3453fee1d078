using System.Globalization;
using Paddock.Block;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock info`: shows the properties of an image as text or JSON.</summary>
public static class InfoVerb
{
    /// <summary>Prints the properties of an image file, qcow2 or raw, or of a disk at a server.</summary>
    /// <param name="path">The file, or the name of the disk.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives the properties.</param>
    /// <param name="forceShare">Whether to read the file even if another process writes to it.</param>
    /// <param name="cancellationToken">Cancels opening.</param>
    public static async ValueTask RunAsync(
        string path, bool json, NativeConsole console, bool forceShare = false, CancellationToken cancellationToken = default)
    {
        if (RemoteDisk.Is(path))
        {
            await using var remote = await RemoteDisk.DescribeAsync(path, cancellationToken);
            new PlainInfo(path, NvmeName.Is(path) ? "nvme-tcp" : "nbd", remote, null).Print(json, console);
            return;
        }

        var storage = await NativeImage.OpenStorageAsync(path, writable: false, forceShare);
        bool isRaw;
        try
        {
            isRaw = await FormatProbe.DetectAsync(storage, cancellationToken) == FormatProbe.Raw;
        }
        catch
        {
            await storage.DisposeAsync();
            throw;
        }

        if (isRaw)
        {
            await using var raw = new RawDevice(storage);
            new PlainInfo(path, FormatProbe.Raw, raw, storage.AllocatedBytes).Print(json, console);
            return;
        }

        await using var device = await NativeImage.OpenAsync(
            storage, path, writable: false, console, forInfo: true, passphrase: null, cancellationToken);
        if (json)
        {
            console.Out.WriteLine(JsonText.ReadableLines(Fields(path, device)));
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

        WriteLimits(zoned.Limits, Line);
        if (zoned.ReadOnlyZones + zoned.OfflineZones > 0)
        {
            Line("retired zones", $"{zoned.ReadOnlyZones} read-only, {zoned.OfflineZones} offline");
        }

        if (zoned.ExtendedZones > 0)
        {
            Line("zone extensions", $"{zoned.ExtendedZones} descriptor extensions of {zoned.ExtensionBytes} bytes");
        }

        if (zoned.RandomAreas > 0)
        {
            Line("zones with an area", zoned.RandomAreas.ToString(CultureInfo.InvariantCulture));
        }

        Line("zone layout", zoned.Layout + (zoned.TableInForeignOrder ? ", zone table in the byte order of another layout" : ""));
    }

    internal static void WriteLimits(ZonedLimits limits, Action<string, string> line)
    {
        line("zones", $"{limits.ZoneCount} of {SizeText.Human(limits.ZoneSize)}, capacity {SizeText.Human(limits.ZoneCapacity)}");
        line("conventional zones", limits.ConventionalZones.ToString(CultureInfo.InvariantCulture));
        line("max open zones", Limit(limits.MaxOpenZones));
        line("max active zones", Limit(limits.MaxActiveZones));
        line("max append", limits.MaxAppendBytes == 0 ? "no limit" : SizeText.Human(limits.MaxAppendBytes));
        if (limits.RandomArea is { Size: > 0 } area)
        {
            line(
                "random write areas",
                $"{SizeText.Human(area.Size)}, committed by {SizeText.Human(area.Granularity)}, zones: {Limit(area.MaxZones)}");
        }
    }

    /// <summary>The geometry and limits of zones, as every verb's JSON has them.</summary>
    internal static JsonFields LimitFields(ZonedLimits limits)
    {
        var fields = new JsonFields
        {
            { "zone_size", limits.ZoneSize },
            { "zone_capacity", limits.ZoneCapacity },
            { "zone_count", limits.ZoneCount },
            { "conventional_zones", limits.ConventionalZones },
            { "max_open_zones", limits.MaxOpenZones },
            { "max_active_zones", limits.MaxActiveZones },
            { "max_append_bytes", limits.MaxAppendBytes },
        };
        fields.AddRange(AreaFields(limits.RandomArea));
        return fields;
    }

    /// <summary>The limits of random write areas; no fields without them.</summary>
    internal static JsonFields AreaFields(RandomAreaLimits area) => area.Size == 0 ? [] : new()
    {
        { "zrwa_size", area.Size },
        { "zrwa_granularity", area.Granularity },
        { "max_zrwa_zones", area.MaxZones },
    };

    private static string Limit(uint limit) => limit == 0 ? "no limit" : limit.ToString(CultureInfo.InvariantCulture);

    private static JsonFields Fields(string path, IQcow2Device device)
    {
        var info = device.Info;
        var fields = new JsonFields
        {
            { "image", path },
            { "format", "qcow2" },
            { "version", info.Version },
            { "size", info.VirtualSize },
            { "allocated", device.Storage.AllocatedBytes },
            { "cluster_size", info.ClusterSize },
            { "subcluster_size", info.SubclusterSize },
            { "refcount_bits", info.RefcountBits },
            { "dirty", info.Dirty },
            { "corrupt", info.Corrupt },
        };
        fields.WithIf(info.BackingFile is not null, "backing_file", info.BackingFile)
            .WithIf(info.BackingFormat is not null, "backing_format", info.BackingFormat)
            .WithIf(info.Unsupported is not null, "not_supported", info.Unsupported);
        if (info.Zoned is { } zoned)
        {
            var zones = new JsonFields { { "layout", zoned.Layout.ToString() } };
            zones.AddRange(LimitFields(zoned.Limits));
            fields.Add("zoned", zones
                .With("read_only_zones", zoned.ReadOnlyZones)
                .With("offline_zones", zoned.OfflineZones)
                .With("extended_zones", zoned.ExtendedZones)
                .WithIf(zoned.Limits.RandomArea.Size > 0, "zrwa_zones", zoned.RandomAreas));
        }

        return fields;
    }
}
