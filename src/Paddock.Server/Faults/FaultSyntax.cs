using System.Collections.Frozen;
using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Server.Faults;

/// <summary>The commands of `paddock fault` and their options, for the control socket and for scripts.</summary>
public static class FaultSyntax
{
    private const string Status = "status", List = "list";

    private static readonly string[] Target = ["image", "ns", "nqn"];
    private static readonly string[] Which = [.. Target, "command", "nth", "every", "count", "probability", "seed", "zone", "offset",
        "length"];

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

    /// <summary>The commands, each with its options.</summary>
    public static IReadOnlyDictionary<string, string[]> Commands => Syntax;

    /// <summary>Values of the option <c>command</c>.</summary>
    public static IReadOnlyList<string> Operations => FaultRuleText.OperationNames;

    /// <summary>Values of the option <c>error</c>.</summary>
    public static IReadOnlyList<string> Errors => FaultRuleText.ErrorNames;

    /// <summary>Parses a line; <c>list</c> is an alias of <c>status</c>.</summary>
    /// <exception cref="ToolException">Unknown command or option; the message lists the valid ones.</exception>
    public static ControlLine Parse(string line)
    {
        string[] parts = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries);
        return ControlLine.Parse(parts is [List, ..] ? string.Join(' ', [Status, .. parts[1..]]) : line, Syntax);
    }
}
