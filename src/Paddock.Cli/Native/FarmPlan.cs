using System.Globalization;
using Paddock.Images.Text;
using Paddock.Server.Listeners;

namespace Paddock.Cli.Native;

/// <summary>How a farm is spread over servers: the command of each, and where each drive is.</summary>
/// <param name="servers">The servers.</param>
/// <param name="count">Number of drives of all servers.</param>
/// <param name="stem">Start of the names of the drives.</param>
/// <param name="nqn">Start of their NQNs.</param>
/// <param name="words">Options and argument of the farm, without those of a single server.</param>
internal sealed class FarmPlan(IReadOnlyList<FarmServer> servers, int count, string stem, string nqn, IReadOnlyList<string> words)
{
    /// <summary>For each server a comment and its command; then a line for each drive, as the farm prints it.</summary>
    public IEnumerable<string> Lines()
    {
        for (int i = 0; i < servers.Count; i++)
        {
            var part = PartOf(i);
            int first = part.First(count), last = first + part.Count(count) - 1;
            yield return string.Create(CultureInfo.InvariantCulture, $"# {servers[i].Name}: drives {first} to {last}");
            yield return CommandOf(i);
        }

        yield return "# drives";
        foreach (string line in FarmList.LinesOf(Drives()))
        {
            yield return line;
        }
    }

    /// <summary>The same as an object: <c>servers</c> and <c>drives</c>.</summary>
    public JsonFields Json()
    {
        var list = new List<object?>();
        for (int i = 0; i < servers.Count; i++)
        {
            var part = PartOf(i);
            list.Add(new JsonFields().With("server", servers[i].Name).With("first", (long)part.First(count))
                .With("count", (long)part.Count(count)).With("command", CommandOf(i)));
        }

        return new JsonFields().With("servers", list).With("drives", FarmList.Of(Drives()));
    }

    private FarmPart PartOf(int server) => new(server + 1, servers.Count);

    private string CommandOf(int server)
    {
        var part = PartOf(server);
        string place = string.Create(CultureInfo.InvariantCulture, $"{part.Number}/{part.Servers}");
        string[] all = ["paddock", "farm", .. words, "--part", place, "--nvme", servers[server].Listen];
        return string.Join(' ', all.Select(Quoted));
    }

    private IEnumerable<ServedEndpoint> Drives()
    {
        for (int i = 0; i < servers.Count; i++)
        {
            var (server, part) = (servers[i], PartOf(i));
            int first = part.First(count);
            for (int drive = first; drive < first + part.Count(count); drive++)
            {
                string number = drive.ToString(CultureInfo.InvariantCulture), subsystem = $"{nqn}-{number}";
                yield return new ServedEndpoint(
                    "nvme", $"{stem}-{number}", $"nvme+tcp://{server.Name}/{subsystem}", server.Host, server.Port, null, false, subsystem);
            }
        }
    }

    // for a POSIX shell
    private static string Quoted(string word)
        => word.Length > 0 && word.All(static c => char.IsAsciiLetterOrDigit(c) || "-_./:@%+=,".Contains(c, StringComparison.Ordinal))
            ? word : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
