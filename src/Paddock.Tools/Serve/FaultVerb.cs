using System.Globalization;
using Paddock.Tools.Native;
using Paddock.Tools.Serve.Faults;

namespace Paddock.Tools.Serve;

/// <summary>`paddock fault`: tells a running server to fail, delay, wear out, drop or cut.</summary>
public static class FaultVerb
{
    private const string Ok = "ok: ";

    /// <summary>Sends a line to the server's control socket and prints what it answers; a status as a table, or as JSON.</summary>
    /// <exception cref="ToolException">The line is wrong (exit code 64), or the server is not there or refuses.</exception>
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

        string answer = await ControlSocket.AskAsync(socket, line, cancellationToken);
        if (parsed.Command == "status")
        {
            PrintStatus(answer[Ok.Length..], json, console.Out);
        }
        else
        {
            console.Out.WriteLine(json ? JsonText.Compact(new QDict().With("answer", answer)) : answer);
        }
    }

    private static void PrintStatus(string text, bool json, TextWriter output)
    {
        if (json)
        {
            output.WriteLine(text);
            return;
        }

        foreach (var image in ItemsOf(JsonReader.Parse(text) as QDict, "images"))
        {
            string unflushed = image["unflushed-bytes"] is { } bytes
                ? $", {SizeText.Human(Convert.ToInt64(bytes, CultureInfo.InvariantCulture))} not flushed" : "";
            var rules = ItemsOf(image, "rules").ToArray();
            output.WriteLine($"{image["image"]}: {(rules.Length == 0 ? "no rules" : rules.Length == 1 ? "1 rule" : $"{rules.Length} rules")}{unflushed}");
            foreach (var rule in rules)
            {
                string state = rule["spent"] is true ? ", spent" : Convert.ToInt64(rule["waiting"], CultureInfo.InvariantCulture) is > 0 and var waiting
                    ? $", holds {waiting}" : "";
                output.WriteLine($"  {rule["id"],3}  {rule["rule"]}: met {rule["hits"]} of {rule["seen"]}{state}");
            }
        }
    }

    private static IEnumerable<QDict> ItemsOf(QDict? from, string name) => (from?[name] as List<object?>)?.OfType<QDict>() ?? [];
}
