using System.Globalization;
using Paddock.Server.Listeners;

namespace Paddock.Cli.Native;

/// <summary>The environment variables of a captive command.</summary>
internal static class ServedVariables
{
    // Linux limits a variable to 128 KiB
    private const int MaxLength = 120 << 10;

    private static readonly (string Listener, string Prefix)[] Listeners =
        [("nbd", "PADDOCK_NBD"), ("nvme", "PADDOCK_NVME"), ("vhost-user", "PADDOCK_VHOST_USER"), ("vfio-user", "PADDOCK_VFIO_USER")];

    /// <summary>The variables; null: removed, since an outer command may have set them.</summary>
    /// <param name="endpoints">Where clients connect.</param>
    /// <param name="control">The control socket.</param>
    /// <param name="list">File with a list of the drives; null: none.</param>
    public static IReadOnlyDictionary<string, string?> Of(IReadOnlyList<ServedEndpoint> endpoints, string control, string? list)
    {
        var found = new Dictionary<string, string?>(StringComparer.Ordinal);
        var chosen = new List<ServedEndpoint>();
        foreach (var (listener, prefix) in Listeners)
        {
            var mine = Choose([.. endpoints.Where(e => e.Listener == listener)]);
            found[prefix + "_URI"] = mine?.Uri;
            found[prefix + "_PORT"] = PortOf(mine);
            found[prefix + "_SOCKET"] = mine?.Socket;
            if (mine is not null)
            {
                chosen.Add(mine);
            }
        }

        found["PADDOCK_URI"] = chosen.FirstOrDefault()?.Uri;
        string all = string.Join('\n', endpoints.Select(e => e.Uri));
        found["PADDOCK_URIS"] = all.Length < MaxLength ? all : null;
        found["PADDOCK_LIST"] = list;
        found["PADDOCK_PORT"] = PortOf(chosen.Find(e => e.Port > 0));
        found["PADDOCK_SOCKET"] = chosen.Find(e => e.Socket is not null)?.Socket;
        found["PADDOCK_NQN"] = chosen.Find(e => e.Nqn is not null)?.Nqn;
        found["PADDOCK_CONTROL"] = control;
        return found;
    }

    // of the first disk, what has zones: a disk with conventional zones has two namespaces
    private static ServedEndpoint? Choose(ServedEndpoint[] all)
        => Array.Find(all, e => e.IsZoned && e.Disk == all[0].Disk) ?? all.FirstOrDefault();

    private static string? PortOf(ServedEndpoint? at) => at is { Port: > 0 } ? at.Port.ToString(CultureInfo.InvariantCulture) : null;
}
