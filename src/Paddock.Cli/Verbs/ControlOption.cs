using System.CommandLine;

namespace Paddock.Cli.Verbs;

/// <summary>The option <c>--control</c> of verbs that need a server.</summary>
internal static class ControlOption
{
    /// <summary>Creates the option.</summary>
    public static Option<string> Create()
        => new("--control") { Description = "Control socket of the server (serve --control).", HelpName = "PATH", Required = true };
}
