using Paddock.Tools;
using Paddock.Tools.Io;
using Paddock.Tools.Nbd;

namespace Paddock.Cli;

/// <summary>The verbs that take QEMU's words: each parses its own command line, as getopt does.</summary>
internal static class CompatibleTools
{
    /// <summary>Runs the tool that the first argument names.</summary>
    /// <returns>Its exit code; null when the first argument names none.</returns>
    public static async ValueTask<int?> TryRunAsync(string[] args)
    {
        switch (args[0])
        {
            case "img":
                return await ImgTool.RunAsync(args[1..], ToolContext.ForProcess("qemu-img"));
            case "io":
                return await IoTool.RunAsync(args[1..], ToolContext.ForProcess("qemu-io"));
            case "nbd":
                return await NbdTool.RunAsync(args[1..], ToolContext.ForProcess("qemu-nbd"), respawn: ["nbd"]);
            default:
                return null;
        }
    }
}
