using System.CommandLine;

namespace Paddock.Cli.Verbs;

/// <summary>The option <c>--json</c>, which every verb with a result has; docs/json.md describes the fields.</summary>
internal static class JsonOption
{
    /// <summary>Creates the option.</summary>
    public static Option<bool> Create() => new("--json") { Description = "Prints the result as JSON." };
}
