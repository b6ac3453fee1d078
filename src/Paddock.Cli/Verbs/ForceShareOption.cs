using System.CommandLine;

namespace Paddock.Cli.Verbs;

/// <summary>The option <c>--force-share</c> of commands that only read an image.</summary>
internal static class ForceShareOption
{
    /// <summary>Creates the option.</summary>
    public static Option<bool> Create() => new("--force-share", "-U")
    {
        Description = "Reads the image even if another process writes to it.",
    };
}
