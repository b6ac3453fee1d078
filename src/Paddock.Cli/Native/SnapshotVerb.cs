using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;
using Paddock.Server.Control;
using Paddock.Server.Snapshots;

namespace Paddock.Cli.Native;

/// <summary>`paddock snapshot`: internal snapshots of an image, or of one that a running server has open.</summary>
public static class SnapshotVerb
{
    /// <summary>Does it to a file, or sends it to a server's control socket.</summary>
    /// <param name="action">What to do.</param>
    /// <param name="image">The file; with a socket, name or path of the served image, null: the only one.</param>
    /// <param name="name">Name of the snapshot, or its ID; null for the list.</param>
    /// <param name="socket">The control socket; null: no server has the image open.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives the result.</param>
    /// <param name="cancellationToken">Cancels waiting, not the command.</param>
    /// <param name="passphrase">Passphrase of the image, if it is encrypted.</param>
    /// <exception cref="ToolException">Invalid arguments (exit code 64), or it failed; the message gives the reason.</exception>
    public static async Task RunAsync(
        SnapshotAction action, string? image, string? name, string? socket, bool json, NativeConsole console,
        CancellationToken cancellationToken, ReadOnlyMemory<byte>? passphrase = null)
    {
        string answer = socket is null
            ? await ChangeAsync(action, image!, name, console, passphrase, cancellationToken)
            : await AskAsync(action, image, name, socket, cancellationToken);
        console.Out.WriteLine(json ? JsonText.Readable(JsonReader.Parse(answer)) : ForPeople(action, JsonReader.Parse(answer)));
    }

    private static async Task<string> AskAsync(
        SnapshotAction action, string? image, string? name, string socket, CancellationToken cancellationToken)
    {
        if (action == SnapshotAction.Apply)
        {
            throw new ToolException(
                "a snapshot cannot be applied to a served disk: stop the server first", NativeExit.Usage);
        }

        string answer = await ControlSocket.AskAsync(socket, new SnapshotLine(action, name, image).Format(), cancellationToken);
        return answer[(answer.IndexOf(' ', StringComparison.Ordinal) + 1)..];
    }

    private static async Task<string> ChangeAsync(
        SnapshotAction action, string path, string? name, NativeConsole console, ReadOnlyMemory<byte>? passphrase,
        CancellationToken cancellationToken)
    {
        await using var device = await NativeImage.OpenAsync(
            path, writable: action != SnapshotAction.List, console, cancellationToken, passphrase: passphrase);
        var snapshots = device.Snapshots;
        try
        {
            switch (action)
            {
                case SnapshotAction.List:
                    return JsonText.Readable(snapshots.List.Select(static s => (object?)SnapshotText.Describe(s)).ToList());
                case SnapshotAction.Create:
                    return JsonText.Readable(
                        SnapshotText.Describe(await snapshots.CreateAsync(name!, TimeProvider.System.GetUtcNow(), cancellationToken)));
            }

            var found = SnapshotText.Find(snapshots.List, name!) ?? throw new ToolException($"'{path}' has no snapshot '{name}'");
            await (action == SnapshotAction.Delete ? snapshots.DeleteAsync(found, cancellationToken)
                : snapshots.ApplyAsync(found, cancellationToken));
            return JsonText.Readable(SnapshotText.Describe(found));
        }
        catch (BlockException e)
        {
            throw new ToolException($"'{path}': {e.Message}", inner: e);
        }
    }

    private static string ForPeople(SnapshotAction action, object? answer)
    {
        if (answer is QDict one)
        {
            string done = action switch { SnapshotAction.Create => "taken", SnapshotAction.Delete => "deleted", _ => "applied" };
            string waited = one["paused-ms"] is { } ms ? $"; requests waited {Convert.ToString(ms, CultureInfo.InvariantCulture)} ms" : "";
            return EscapedText.Escape($"snapshot {one["id"]} '{one["name"]}' {done}{waited}");
        }

        var rows = ((List<object?>)answer!).Cast<QDict>().Select(static s => Row(
            (string)s["id"]!, (string)s["name"]!, SizeText.Human(Number(s, "disk-size")), SizeText.Human(Number(s, "vm-state-size")),
            DateTimeOffset.FromUnixTimeSeconds(Number(s, "date-sec")).ToLocalTime()
                .ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture))).ToList();
        return rows.Count == 0 ? "no snapshots" : string.Join('\n', rows.Prepend(Row("id", "name", "disk size", "vm state", "taken")));
    }

    private static long Number(QDict snapshot, string key) => Convert.ToInt64(snapshot[key], CultureInfo.InvariantCulture);

    private static string Row(string id, string name, string size, string state, string date)
        => EscapedText.Escape($"{id,-6} {name,-24} {size,10} {state,10}  {date}");
}
