using Paddock.Images.Text;
using Paddock.Server.Listeners;

namespace Paddock.Cli.Native;

/// <summary>The list of the drives of a farm.</summary>
internal static class FarmList
{
    /// <summary>An object for each drive: name, NQN and the names for clients.</summary>
    public static List<object?> Of(IEnumerable<ServedEndpoint> endpoints)
    {
        var list = new List<object?>();
        foreach (var drive in endpoints.GroupBy(e => e.Disk))
        {
            var all = drive.ToArray();
            var nvme = Find(all, "nvme");
            list.Add(new JsonFields().With("name", drive.Key).WithIf(nvme is not null, "nqn", nvme?.Nqn)
                .WithIf(nvme is not null, "nvme", nvme?.Uri).WithIf(nvme is not null, "connect", nvme?.ConnectCommand)
                .WithIf(Find(all, "nbd") is not null, "nbd", Find(all, "nbd")?.Uri));
        }

        return list;
    }

    /// <summary>A line for each drive: its names for clients.</summary>
    public static IEnumerable<string> LinesOf(IEnumerable<ServedEndpoint> endpoints)
        => endpoints.GroupBy(e => e.Disk).Select(drive => string.Join(' ', (string[])[drive.Key, .. NamesOf([.. drive])]));

    private static IEnumerable<string> NamesOf(ServedEndpoint[] drive)
        => new[] { Find(drive, "nvme"), Find(drive, "nbd") }.OfType<ServedEndpoint>().Select(e => e.Uri);

    // a drive with conventional zones has two namespaces: the one with zones
    private static ServedEndpoint? Find(ServedEndpoint[] drive, string listener)
        => Array.Find(drive, e => e.Listener == listener && e.IsZoned) ?? Array.Find(drive, e => e.Listener == listener);
}
