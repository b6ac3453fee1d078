using Paddock.Block;
using Paddock.Compat.Io;
using Paddock.Images;

namespace Paddock.Compat.Img;

/// <summary>qemu-img's commands.</summary>
public static class ImgTool
{
    /// <summary>Names of the commands.</summary>
    public static IReadOnlyList<string> Commands { get; } =
    [
        "amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info", "map", "measure", "rebase", "resize",
        "snapshot",
    ];

    /// <summary>Runs one command line (without the program's name).</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        string command = "";
        try
        {
            return await DispatchAsync(args, ctx, c => command = c);
        }
        catch (ToolException e)
        {
            string who = e is UsageException { IsFromGetOpt: true } && command.Length != 0 ? $"{ctx.Program} {command}" : ctx.Program;
            ctx.Error.Write(EscapedText.EscapeLines($"{who}: {e.Message}\n"));
            if (e is UsageException)
            {
                ctx.Error.Write($"Try '{ctx.Program}{(command.Length == 0 ? "" : " " + command)} --help' for more info\n");
            }

            return e.ExitCode;
        }
        catch (BlockException e)
        {
            ctx.Report(e.Message);
            return 1;
        }
        finally
        {
            await ctx.Error.FlushAsync();
            await ctx.Out.FlushAsync();
        }
    }

    private static async Task<int> DispatchAsync(string[] args, ToolContext ctx, Action<string> named)
    {
        var options = new GetOpt(args, [new('h', "help", false), new('V', "version", false), new('T', "trace", true)], permute: false);
        var traces = new List<string>();
        while (options.TryNext(out var option))
        {
            switch (option.Key)
            {
                case "T":
                    traces.AddRange(TraceListener.Patterns(option.Value));
                    break;
                case "h":
                    Help(ctx);
                    return 0;
                case "V":
                    ctx.Line($"{ctx.Program} version 10.0.2 (Paddock)");
                    return 0;
            }
        }

        if (options.Operands.Count == 0)
        {
            throw new UsageException("Not enough arguments");
        }

        using var listener = traces.Count == 0 ? null : new TraceListener(traces, ctx.Report);
        string command = options.Operands[0];
        var rest = options.Operands.Skip(1).ToArray();
        if (!Commands.Contains(command))
        {
            throw new UsageException($"Command not found: {command}");
        }

        named(command);
        if (rest is ["--help" or "-h", ..])
        {
            ImgHelp.Print(ctx, command);
            return 0;
        }

        return command switch
        {
            "amend" => await AmendCommand.RunAsync(rest, ctx),
            "bench" => await BenchCommand.RunAsync(rest, ctx),
            "bitmap" => await BitmapCommand.RunAsync(rest, ctx),
            "create" => await CreateCommand.RunAsync(rest, ctx),
            "measure" => await MeasureCommand.RunAsync(rest, ctx),
            "dd" => await DdCommand.RunAsync(rest, ctx),
            "info" => await InfoCommand.RunAsync(rest, ctx),
            "check" => await CheckCommand.RunAsync(rest, ctx),
            "map" => await MapCommand.RunAsync(rest, ctx),
            "resize" => await ResizeCommand.RunAsync(rest, ctx),
            "commit" => await CommitCommand.RunAsync(rest, ctx),
            "rebase" => await RebaseCommand.RunAsync(rest, ctx),
            "snapshot" => await SnapshotCommand.RunAsync(rest, ctx),
            "compare" => await CompareCommand.RunAsync(rest, ctx),
            _ => await ConvertCommand.RunAsync(rest, ctx),
        };
    }

    private static void Help(ToolContext ctx)
    {
        ctx.Line($"Usage: {ctx.Program} [-T PATTERN] COMMAND [OPTION]...");
        ctx.Line("");
        ctx.Line("Commands:");
        foreach (string command in Commands)
        {
            ctx.Line($"  {command,-10}{ImgHelp.Summary(command)}");
        }

        ctx.Line("");
        ctx.Line("Supported image formats: qcow2 raw");
    }
}
