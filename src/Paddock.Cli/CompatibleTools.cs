using Paddock.Block;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Compat.Nbd;
using Paddock.Server;

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
        string tool = args[0];
        return tool is "img" or "io" or "nbd" ? await ToolRun.GuardAsync(
            ToolContext.ForProcess("qemu-" + tool),
            async context =>
            {
                int code = await RunAsync(tool, args[1..], context);
                TellOrigin(tool, args, context);
                return code;
            }) : null;
    }

    // QEMU's texts have QEMU's names: people see which tool answers where that may matter to them
    private static void TellOrigin(string tool, string[] args, ToolContext context)
    {
        string origin = $"This is 'paddock {tool}', Paddock's replacement for {context.Program}";
        if (args is [_, "--help" or "-h"])
        {
            context.Line($"\n{origin}.");
        }
        else if (tool == "img" && args.Length > 1 && !args[1].StartsWith('-') && !ImgTool.Commands.Contains(args[1]))
        {
            context.Error.Write(EscapedText.EscapeLines($"{origin}{Spelling.Hint(args[1], ImgTool.Commands)}.\n"));
        }
    }

    /// <summary>Runs a tool with given streams.</summary>
    public static Task<int> RunAsync(string tool, string[] args, ToolContext context) => tool switch
    {
        "img" => ImgTool.RunAsync(args, context),
        "io" => IoTool.RunAsync(args, context),
        _ => NbdTool.RunAsync(args, context, respawn: ["nbd"]),
    };
}
