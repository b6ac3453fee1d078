using System.Globalization;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Control;
using Paddock.Server.Faults;

namespace Paddock.Cli.Native;

/// <summary>`paddock fault`: injects faults into a running server.</summary>
public static class FaultVerb
{
    private const string Ok = "ok: ";

    /// <summary>Sends a command to the server's control socket and prints the answer; a status as text or JSON.</summary>
    /// <exception cref="ToolException">Invalid command (exit code 64), no server, or the server rejected the command.</exception>
    public static async Task RunAsync(string socket, string line, bool json, NativeConsole console, CancellationToken cancellationToken)
    {
        ControlLine parsed;
        try
        {
            parsed = FaultSyntax.Parse(line);
        }
        catch (ToolException e)
        {
            throw new ToolException(e.Message, NativeExit.Usage);
        }

        if (parsed.Command == "status")
        {
            string answer = await ControlSocket.AskAsync(socket, line, cancellationToken);
            PrintStatus(answer[Ok.Length..], json, console.Out);
        }
        else
        {
            await ControlVerb.RunAsync(socket, line, json, console, cancellationToken);
        }
    }

    private static void PrintStatus(string text, bool json, TextWriter output)
    {
        if (json)
        {
            output.WriteLine(JsonText.Readable(JsonReader.Parse(text)));
            return;
        }

        foreach (var image in ItemsOf(JsonReader.Parse(text) as QDict, "images"))
        {
            string unflushed = image["unflushed-bytes"] is { } bytes
                ? $", {SizeText.Human(Convert.ToInt64(bytes, CultureInfo.InvariantCulture))} unflushed" : "";
            var rules = ItemsOf(image, "rules").ToArray();
            output.WriteLine(
                $"{image["image"]}: "
                    + $"{(rules.Length == 0 ? "no rules" : rules.Length == 1 ? "1 rule" : $"{rules.Length} rules")}{unflushed}");
            foreach (var rule in rules)
            {
                string state = rule["spent"] is true ? ", spent"
                    : Convert.ToInt64(rule["waiting"], CultureInfo.InvariantCulture) is > 0 and var waiting
                    ? $", holds {waiting}" : "";
                output.WriteLine($"  {rule["id"],3}  {rule["rule"]}: applied to {rule["hits"]} of {rule["seen"]} requests{state}");
            }
        }
    }

    private static IEnumerable<QDict> ItemsOf(QDict? from, string name) => (from?[name] as List<object?>)?.OfType<QDict>() ?? [];
}
