using System.Text.Json;
using Paddock.Block;
using Paddock.Rbd;

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

/// <summary>What `paddock zones` shows, and how.</summary>
public sealed record ZonesPlan
{
    /// <summary>Image file, or name of a served disk.</summary>
    public required string Path { get; init; }

    /// <summary>Map, table or JSON.</summary>
    public ZonesView View { get; init; }

    /// <summary>The zones to show.</summary>
    public ZoneFilter Filter { get; init; } = ZoneFilter.All;

    /// <summary>Whether to use colours in the map.</summary>
    public ColorChoice Color { get; init; }

    /// <summary>Passphrase of an encrypted image.</summary>
    public ReadOnlyMemory<byte>? Passphrase { get; init; }

    /// <summary>Whether to read the image even if another process writes to it.</summary>
    public bool ForceShare { get; init; }
}

/// <summary>`paddock zones`: pointers, conditions and resources in use.</summary>
public static class ZonesVerb
{
    /// <summary>Shows the zones of a disk.</summary>
    /// <exception cref="ToolException">The disk cannot be opened, has no zones, or does not have those of the range.</exception>
    public static async ValueTask RunAsync(ZonesPlan plan, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(
            plan.Path, writable: false, console, cancellationToken, plan.Passphrase, plan.ForceShare);
        var filter = plan.Filter.On(device.Zones!.Limits.ZoneCount);
        console.Out.Flush();
        await (plan.View switch
        {
            ZonesView.Table => ZoneTable.WriteAsync(device, filter, console.OutStream, cancellationToken),
            ZonesView.Json => ZoneJson.WriteAsync(device, filter, console.OutStream, cancellationToken),
            _ => new ZoneMap(console, console.Colors.For(plan.Color))
                .DrawAsync(device, RbdTarget.ShortName(plan.Path) ?? Path.GetFileName(plan.Path), filter, cancellationToken),
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
        if (limits.RandomArea is { Size: > 0 } area)
        {
            json.WriteNumber("zrwa_size", area.Size);
            json.WriteNumber("zrwa_granularity", area.Granularity);
            json.WriteNumber("max_zrwa_zones", area.MaxZones);
        }
    }
}
