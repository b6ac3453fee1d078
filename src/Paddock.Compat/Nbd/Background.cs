using System.Diagnostics;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Nbd;

/// <summary>
/// Starts this program again, in the background, and waits until it is ready. (A process of this runtime cannot fork: its threads would
/// not come along.)
/// </summary>
internal static class Background
{
    private const string Variable = "PADDOCK_IN_BACKGROUND";
    private const string Ready = "ready";

    /// <summary>Whether this is the process in the background.</summary>
    public static bool IsHere(ToolContext context) => context.GetVariable(Variable) is not null;

    /// <summary>The words of its command line, if this is the process in the background: they may hold bytes that are not UTF-8.</summary>
    public static string[]? Words(ToolContext context) => context.GetVariable(Variable) is { } words
        ? Array.ConvertAll(words.Split(','), static w => ByteText.FromBytes(Convert.FromHexString(w))) : null;

    /// <summary>Starts it and waits until it is ready; it prints messages on the same standard error.</summary>
    /// <returns>The exit code of the process in front.</returns>
    public static async Task<int> StartAsync(ToolContext context, IEnumerable<string> command, string[] words)
    {
        string program = Environment.ProcessPath ?? throw new ToolException("the program does not know where it is: run it without --fork");
        // started as 'dotnet paddock.dll', the program is the runtime, and its first argument is ours
        string[] assembly = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        var start = new ProcessStartInfo(program, [.. assembly, .. command, .. words])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true,
        };
        // the runtime passes words on as UTF-8 alone
        start.Environment[Variable] = string.Join(',', words.Select(static w => Convert.ToHexString(ByteText.ToBytes(w))));
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        if (await process.StandardOutput.ReadLineAsync() == Ready)
        {
            return 0;
        }

        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? 1 : process.ExitCode;
    }

    /// <summary>Tells whoever started it that it is ready, and leaves the terminal.</summary>
    /// <param name="context">Streams.</param>
    /// <param name="keepsErrors">Whether later messages still go to standard error.</param>
    public static async Task TellReadyAsync(ToolContext context, bool keepsErrors)
    {
        Terminal.Detach();
        context.Line(Ready);
        await context.Out.FlushAsync();
        Terminal.DiscardStreams(keepsErrors);
    }
}
