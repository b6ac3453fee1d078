using Paddock.Images;
using Paddock.Rbd;

namespace Paddock.Server.Standby;

/// <summary>Checks the settings of servers that take images over from each other.</summary>
internal static class StandbyCheck
{
    /// <summary>Greatest number of a server.</summary>
    public const int MostNodes = 15;

    /// <summary>Rejects settings that cannot work with <c>--standby</c>.</summary>
    /// <exception cref="ToolException">The message names the option and what to do.</exception>
    public static void Validate(ServeSettings settings, ServiceManager manager)
    {
        if (!settings.Standby)
        {
            return;
        }

        bool hasNvme = settings.Nvme is not null || settings.VfioUser.Count > 0 || manager.Has("nvme") || manager.Has("vfio-user");
        if (hasNvme && settings.Node == 0)
        {
            throw Usage($"--standby with NVMe requires --node N, 1 to {MostNodes}, another number on each server: hosts reject two "
                + "controllers with the same identifier");
        }

        if (settings.NamespaceDir is not null)
        {
            throw Usage("--standby cannot be combined with --namespace-dir: namespaces that hosts create are not handed over");
        }

        if (settings.VolatileCache is not null || settings.Images.Any(i => i.VolatileCache is not null))
        {
            throw Usage("--standby cannot be combined with --volatile-cache: its data would be lost at each hand-over");
        }

        if (settings.Images.FirstOrDefault(i => !i.ReadOnly && !HasOwner(i.Path)) is { } image)
        {
            throw Usage($"--standby: '{image.Path}' has no owner that could change: expected a file or an rbd: name");
        }
    }

    private static bool HasOwner(string path)
    {
        try
        {
            return RbdTarget.IsName(path) || ImageOpener.PathOf(path).Length > 0;
        }
        catch (ToolException)
        {
            // another protocol
            return false;
        }
    }

    private static ToolException Usage(string message) => new(message, NativeExit.Usage);
}
