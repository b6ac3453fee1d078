using System.Collections.Frozen;

namespace Paddock.Tools.Serve.Faults;

/// <summary>The words of `paddock fault`, and what each may have behind it; the control socket and a script at start take the same.</summary>
public static class FaultSyntax
{
    private const string Status = "status", List = "list";

    private static readonly string[] Target = ["image", "ns", "nqn"];
    private static readonly string[] Which = [.. Target, "command", "nth", "every", "count", "probability", "seed", "zone", "offset", "length"];

    private static readonly FrozenDictionary<string, string[]> Syntax = new Dictionary<string, string[]>
    {
        ["fail"] = [.. Which, "error", "status", "ms"],
        ["delay"] = [.. Which, "ms"],
        ["hang"] = Which,
        ["release"] = [.. Target, "id"],
        ["clear"] = [.. Target, "id"],
        ["status"] = [],
        ["drop"] = [],
        ["powercut"] = ["keep", "seed", "hold"],
        ["readonly"] = [.. Target, "zone"],
        ["offline"] = [.. Target, "zone"],
        ["restore"] = [.. Target, "zone"],
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Reads a line; <c>list</c> is another word for <c>status</c>.</summary>
    /// <exception cref="ToolException">It cannot be read; the message says what there is.</exception>
    public static ControlLine Parse(string line)
    {
        string[] parts = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries);
        return ControlLine.Parse(parts is [List, ..] ? string.Join(' ', [Status, .. parts[1..]]) : line, Syntax);
    }
}
