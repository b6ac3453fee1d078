using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Server.Namespaces;

/// <summary>Settings of namespaces that NVMe hosts create.</summary>
/// <param name="Folder">Directory of their images.</param>
/// <param name="Quota">Maximum total size in bytes.</param>
/// <param name="ZoneSize">Zone size of zoned ones in bytes, a power of two; 0: there are none.</param>
/// <param name="RandomArea">Random write areas of their zones, if a host asks for them; all zero: none.</param>
internal sealed record NamespaceSettings(string Folder, long Quota, long ZoneSize, RandomAreaLimits RandomArea)
{
    private const string DefaultZone = "64M";
    private const long LeastArea = 4096, MostArea = 16 << 20, AreaUnit = 16 << 10;
    private const long LeastZone = 64 << 10, MostZone = 1L << 40;

    /// <summary>The settings; null without <c>namespace-dir</c>.</summary>
    /// <exception cref="ToolException">A value is invalid, or one is missing.</exception>
    public static NamespaceSettings? Of(ServeSettings settings)
    {
        if (settings.NamespaceDir is not { } folder)
        {
            return settings is { NamespaceQuota: null, NamespaceZoneSize: null, NamespaceZrwaSize: null } ? null
                : throw new ToolException(
                    "namespace-quota, namespace-zone-size and namespace-zrwa-size require namespace-dir", NativeExit.Usage);
        }

        if (settings.NamespaceQuota is not { } quota)
        {
            throw new ToolException("namespace-dir requires namespace-quota, the total size of its namespaces", NativeExit.Usage);
        }

        long bytes = SizeText.Parse("namespace-quota", quota);
        string zones = settings.NamespaceZoneSize ?? DefaultZone;
        long zone = zones == "0" ? 0 : SizeText.Parse("namespace-zone-size", zones);
        if (bytes <= 0)
        {
            throw new ToolException($"namespace-quota '{quota}': the minimum is 1 byte", NativeExit.Usage);
        }

        return zone == 0 || (long.IsPow2(zone) && zone is >= LeastZone and <= MostZone)
            ? new NamespaceSettings(folder, bytes, zone, AreaOf(settings, zone))
            : throw new ToolException(
                $"namespace-zone-size '{zones}': expected a power of two from 64K to 1T", NativeExit.Usage);
    }

    private static RandomAreaLimits AreaOf(ServeSettings settings, long zone)
    {
        if (settings.NamespaceZrwaSize is null or "0")
        {
            return default;
        }

        long size = SizeText.Parse("namespace-zrwa-size", settings.NamespaceZrwaSize);
        return long.IsPow2(size) && size >= LeastArea && size <= Math.Min(MostArea, zone)
            ? new RandomAreaLimits(size, Math.Min(size, AreaUnit), 0)
            : throw new ToolException(
                $"namespace-zrwa-size '{settings.NamespaceZrwaSize}': expected a power of two from 4K to 16M, and at most the zone size",
                NativeExit.Usage);
    }
}
