using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Compat.Nbd;

namespace Paddock.Cli;

/// <summary>The drop-in replacements for QEMU's tools; each parses its own command line, as getopt does.</summary>
internal static class CompatibleTools
{
    /// <summary>The tools by the verb that runs them.</summary>
    public static IReadOnlyList<string> Names { get; } = ["img", "io", "nbd"];

    /// <summary>Runs the tool named by the first argument.</summary>
    /// <returns>Its exit code; null if the first argument does not name a tool.</returns>
    public static async ValueTask<int?> TryRunAsync(string[] args)
    {
        return args[0] switch
        {
            "img" => await GuardAsync("qemu-img", context => ImgTool.RunAsync(args[1..], context)),
            "io" => await GuardAsync("qemu-io", context => IoTool.RunAsync(args[1..], context)),
            "nbd" => await GuardAsync("qemu-nbd", context => NbdTool.RunAsync(args[1..], context, respawn: ["nbd"])),
            _ => null,
        };
    }

    private static Task<int> GuardAsync(string program, Func<ToolContext, Task<int>> tool)
        => ToolRun.GuardAsync(ToolContext.ForProcess(program), tool);
}
