using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Server.Namespaces;

/// <summary>Settings of namespaces that NVMe hosts create.</summary>
/// <param name="Folder">Directory of their images.</param>
/// <param name="Quota">Maximum total size in bytes.</param>
/// <param name="ZoneSize">Zone size of zoned ones in bytes, a power of two; 0: there are none.</param>
internal sealed record NamespaceSettings(string Folder, long Quota, long ZoneSize)
{
    private const string DefaultZone = "64M";
    private const long LeastZone = 64 << 10, MostZone = 1L << 40;

    /// <summary>The settings; null without <c>namespace-dir</c>.</summary>
    /// <exception cref="ToolException">A value is invalid, or one is missing.</exception>
    public static NamespaceSettings? Of(ServeSettings settings)
    {
        if (settings.NamespaceDir is not { } folder)
        {
            return settings.NamespaceQuota is null && settings.NamespaceZoneSize is null ? null
                : throw new ToolException("namespace-quota and namespace-zone-size require namespace-dir", NativeExit.Usage);
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

        return zone == 0 || (long.IsPow2(zone) && zone is >= LeastZone and <= MostZone) ? new NamespaceSettings(folder, bytes, zone)
            : throw new ToolException(
                $"namespace-zone-size '{zones}': expected a power of two from 64K to 1T", NativeExit.Usage);
    }
}
