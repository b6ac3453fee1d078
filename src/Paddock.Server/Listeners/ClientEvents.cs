using System.Globalization;
using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>Logs what happens to clients, in the same way for every listener.</summary>
internal static class ClientEvents
{
    /// <summary>Writes <c>connected</c>, <c>rejected</c> or <c>disconnected</c>; of NVMe I/O queues, at debug level.</summary>
    /// <param name="log">The log.</param>
    /// <param name="listener">Name of the listener.</param>
    /// <param name="disk">What a client uses there: <c>export</c>, <c>nqn</c> or <c>image</c>.</param>
    /// <param name="notice">What has happened.</param>
    public static void Write(ServeLog log, string listener, string disk, ClientNotice notice)
    {
        var facts = new List<(string, string)> { ("listener", listener), ("peer", notice.Peer) };
        if (notice.Host is { } host)
        {
            facts.Add(("host", host));
        }

        if (notice.Disk.Length > 0)
        {
            facts.Add((disk, notice.Disk));
        }

        if (notice.Controller > 0)
        {
            facts.Add(("controller", Text(notice.Controller)));
            facts.Add(("queue", Text(notice.Queue)));
        }

        if (notice.Change != ClientChange.Connected)
        {
            facts.Add(("reason", notice.Reason ?? "the client disconnected"));
        }

        log.Write(NameOf(notice), [.. facts]);
    }

    private static string NameOf(ClientNotice notice) => notice.Change switch
    {
        ClientChange.Rejected => "rejected",
        ClientChange.Connected => notice.Queue == 0 ? "connected" : "queue connected",
        _ => notice.Queue == 0 ? "disconnected" : "queue disconnected",
    };

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
