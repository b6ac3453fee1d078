using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Control;
using Paddock.Server.Listeners;
using Paddock.Server.Live;

namespace Paddock.Server.Web;

/// <summary>Zone commands of the page, for those who have the token.</summary>
internal sealed class WebControl
{
    /// <summary>Least number of characters of a token.</summary>
    public const int MinToken = 16;

    private readonly byte[] _token;
    private readonly LiveFeed _feed;
    private readonly IReadOnlyList<IListener> _listeners;
    private readonly Func<string, Task<string>> _execute;
    private readonly ServeLog _log;

    /// <param name="tokenFile">File of the token, which only its owner can access.</param>
    /// <param name="feed">Knows the disks.</param>
    /// <param name="listeners">Notify their clients of changed zones.</param>
    /// <param name="execute">Executes a line of the control socket.</param>
    /// <param name="log">Receives each command.</param>
    /// <exception cref="ToolException">The file cannot be read, is accessible by others, or has too short a token.</exception>
    public WebControl(
        string tokenFile, LiveFeed feed, IReadOnlyList<IListener> listeners, Func<string, Task<string>> execute, ServeLog log)
    {
        _token = SHA256.HashData(ReadToken(tokenFile));
        _feed = feed;
        _listeners = listeners;
        _execute = execute;
        _log = log;
    }

    /// <summary>The actions on a zone.</summary>
    public static IReadOnlyList<string> Actions { get; } = ["reset", "finish", "open", "close", "readonly", "offline", "restore"];

    /// <summary>Reads a token, to check it.</summary>
    /// <exception cref="ToolException">The file cannot be read, is accessible by others, or has too short a token.</exception>
    public static byte[] ReadToken(string file)
    {
        try
        {
            byte[] token = SecretFile.ReadPassphrase(file);
            return token.Length >= MinToken ? token
                : throw new ToolException($"--web-token-file '{file}': the token has {token.Length} bytes; the minimum is {MinToken}");
        }
        catch (IOException e)
        {
            throw new ToolException($"--web-token-file: {e.Message}");
        }
    }

    /// <summary>Whether this is the token; takes the same time for any other.</summary>
    public bool Accepts(string token) => CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(token)), _token);

    /// <summary>Runs an action on a zone.</summary>
    /// <param name="image">Name of the disk.</param>
    /// <param name="action">One of <see cref="Actions"/>.</param>
    /// <param name="zone">Index of the zone.</param>
    /// <param name="peer">Address of the client, for the log.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="ToolException">Unknown disk, action or zone, or the disk rejected the action.</exception>
    public async Task<string> RunAsync(string image, string action, long zone, string peer)
    {
        string answer = await ExecuteAsync(_feed.Find(image), action, zone);
        _log.Write("web control", ("peer", peer), ("image", image), ("action", action),
            ("zone", zone.ToString(CultureInfo.InvariantCulture)), ("answer", answer));
        _feed.LookAtAll();
        return answer;
    }

    private async Task<string> ExecuteAsync(LiveDisk live, string action, long zone)
    {
        var disk = live.Disk;
        if (disk.Zones is not { Limits: var limits } zones)
        {
            throw new ToolException($"'{disk.Name}' has no zones");
        }

        if (zone < 0 || zone >= limits.ZoneCount)
        {
            throw new ToolException($"zone {zone} does not exist: '{disk.Name}' has zones 0 to {limits.ZoneCount - 1}");
        }

        if (action is "readonly" or "offline" or "restore")
        {
            string answer = await _execute($"{action} {ControlLine.Pair("image", disk.Name)} zone={zone}");
            return answer.StartsWith("ok: ", StringComparison.Ordinal) ? answer[4..]
                : throw new ToolException(answer.Replace("error: ", "", StringComparison.Ordinal));
        }

        long start = zone * limits.ZoneSize;
        try
        {
            await zones.ManageAsync(ActionOf(action), start, Math.Min(limits.ZoneSize, disk.Device.Length - start));
        }
        catch (BlockException e)
        {
            throw new ToolException(e.Message);
        }

        foreach (var ns in NvmeSubsystems.NamespacesOf(_listeners).Where(n => n.Disk == disk))
        {
            long its = zone - (ns.Start / limits.ZoneSize);
            if (ns.Namespace.Zones is { Limits.ZoneCount: var count } && its >= 0 && its < count)
            {
                ns.Subsystem.ZoneChanged(ns.Namespace, (int)its);
            }
        }

        return $"zone {zone}: {action} done";
    }

    private static ZoneAction ActionOf(string action) => action switch
    {
        "reset" => ZoneAction.Reset,
        "finish" => ZoneAction.Finish,
        "open" => ZoneAction.Open,
        "close" => ZoneAction.Close,
        _ => throw new ToolException($"unknown action '{action}'; expected one of {string.Join(", ", Actions)}"),
    };
}
