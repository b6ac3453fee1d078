using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>`paddock discover`: lists the disks of a server, by the names under which other verbs take them.</summary>
public static class DiscoverVerb
{
    /// <summary>Asks a server over NVMe/TCP or NBD, whichever it speaks, and prints its disks.</summary>
    /// <param name="address">HOST:PORT, HOST (the usual ports of both protocols), unix:PATH, or a name of a disk.</param>
    /// <param name="hostNqn">The name under which to ask; null: Paddock's own.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives the list.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ToolException">Malformed address (exit code 64), or no server answers.</exception>
    public static async ValueTask RunAsync(
        string address, string? hostNqn, bool json, NativeConsole console, CancellationToken cancellationToken = default)
    {
        var found = new List<DiscoveredDisk>();
        var failures = new List<string>();
        bool answered = false;
        foreach (var place in DiscoverPlace.Parse(address))
        {
            try
            {
                found.AddRange(await Discovery.AskAsync(place, hostNqn, cancellationToken));
                answered = true;
            }
            catch (ToolException e)
            {
                failures.Add(e.Message);
            }
        }

        if (!answered)
        {
            throw new ToolException(string.Join("; ", failures));
        }

        if (json)
        {
            console.Out.WriteLine(JsonText.ReadableLines(found.Select(static d => (object?)d.Fields()).ToList()));
            return;
        }

        int width = found.Select(static d => d.Name.Length).Append(4).Max();
        console.Out.WriteLine(found.Count == 0 ? "the server has no disks for this host" : Line("NAME", width, "SIZE", "ZONES"));
        foreach (var disk in found)
        {
            console.Out.WriteLine(Line(disk.Name, width, disk.Size is { } size ? SizeText.Human(size) : "-", disk.Description));
        }
    }

    private static string Line(string name, int width, string size, string rest)
        => EscapedText.Escape($"{name.PadRight(width)}  {size,12}  {rest}");
}
