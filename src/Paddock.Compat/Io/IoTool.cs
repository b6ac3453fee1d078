using Paddock.Images;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Io;

/// <summary>qemu-io's behaviour: commands on an open image, from the command line or from standard input.</summary>
public static class IoTool
{
    private static readonly OptionSpec[] Options =
    [
        new('h', "help", false), new('V', "version", false), new('c', "cmd", true), new('f', "format", true), new('r', "read-only", false),
        new('s', "snapshot", false), new('n', "nocache", false), new('C', "copy-on-read", false), new('m', "misalign", false),
        new('k', "native-aio", false), new('i', "aio", true), new('t', "cache", true), new('d', "discard", true), new('T', "trace", true),
        new('U', "force-share", false), new('\0', "object", true), new('\0', "image-opts", false),
    ];

    /// <summary>Runs one command line (without the program's name).</summary>
    /// <returns>0; 1 when something failed.</returns>
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var commands = new List<string>();
        var traces = new List<string>();
        bool imageOpts = false;
        var settings = new OpenSettings { ReadOnly = false, Unmap = true };
        var parser = new GetOpt(args, Options);
        try
        {
            while (parser.TryNext(out var option))
            {
                switch (option.Key)
                {
                    case "h":
                        Help(ctx);
                        return 0;
                    case "V":
                        ctx.Line($"{ctx.Program} version 10.0.2 (Paddock)");
                        return 0;
                    case "c":
                        commands.Add(option.Value);
                        break;
                    case "T":
                        traces.AddRange(TraceListener.Patterns(option.Value));
                        break;
                    case "image-opts":
                        imageOpts = true;
                        break;
                    default:
                        settings = Apply(settings, option);
                        break;
                }
            }

            return await RunAsync(ctx, parser.Operands, commands, traces, settings, imageOpts);
        }
        catch (UsageException e)
        {
            ctx.Report(e.Message);
            Help(ctx);
            return 1;
        }
        catch (ToolException e)
        {
            ctx.Report(e.Message);
            return 1;
        }
        finally
        {
            await ctx.Out.FlushAsync();
            await ctx.Error.FlushAsync();
        }
    }

    private static OpenSettings Apply(OpenSettings settings, ParsedOption option) => option.Key switch
    {
        "f" => settings with { Format = option.Value },
        "r" => settings with { ReadOnly = true },
        "s" => settings with { ReadOnly = true, Snapshot = true },
        "U" => settings with { ForceShare = true },
        "n" => settings with { Cache = "none" },
        "t" => settings with { Cache = CheckedCache(option.Value) },
        "C" => settings with { CopyOnRead = true },
        "object" => settings with { Objects = [.. settings.Objects, option.Value] },
        "d" => IoOptions.Discard(settings, option.Value),
        "i" => IoOptions.Aio(settings, option.Value),
        "k" => IoOptions.Aio(settings, "native"),

        // how request buffers lie in memory has no effect that could be seen
        "m" => settings,
        _ => throw new ToolException($"option '-{option.Key}' is not in this version"),
    };

    private static string CheckedCache(string mode)
    {
        ImageOpener.CheckCache(mode);
        return mode;
    }

    private static async Task<int> RunAsync(
        ToolContext ctx, IReadOnlyList<string> operands, List<string> commands, List<string> traces, OpenSettings settings, bool imageOpts)
    {
        if (operands.Count > 1)
        {
            throw new UsageException("too many arguments");
        }

        if (imageOpts && settings.Format is not null)
        {
            throw new ToolException("--image-opts and -f are mutually exclusive");
        }

        UserObjects.Check(settings.Objects);
        ThrottleGroups.Check(settings.Objects);
        var session = new IoSession(ctx, settings.Objects);
        using var listener = traces.Count == 0 ? null : new TraceListener(traces, session.Complain);
        if (operands.Count == 1 && !await session.OpenAsync(operands[0], settings, imageOpts))
        {
            return 1;
        }

        bool good = commands.Count > 0 ? await RunCommandsAsync(session, commands) : await RunInputAsync(session);
        good &= await session.CloseAsync();
        return good ? 0 : 1;
    }

    private static async Task<bool> RunCommandsAsync(IoSession session, List<string> commands)
    {
        bool good = true;
        foreach (string command in commands)
        {
            good &= await IoCommands.RunAsync(session, command);
            if (session.Done)
            {
                break;
            }
        }

        return good;
    }

    private static async Task<bool> RunInputAsync(IoSession session)
    {
        bool good = true;
        string prompt = $"{session.Context.Program}> ";
        while (!session.Done)
        {
            session.Print(prompt);
            await session.Context.Out.FlushAsync();
            string? line = await session.Context.In.ReadLineAsync();
            if (line is null)
            {
                break;
            }

            good &= await IoCommands.RunAsync(session, line);
        }

        return good;
    }

    private static void Help(ToolContext ctx)
    {
        ctx.Line($"Usage: {ctx.Program} [OPTIONS]... [-c STRING]... [file]");
        ctx.Line("Runs commands on a disk image.");
        ctx.Line("");
        ctx.Line("  --image-opts         the file name is a list of options");
        ctx.Line("  -c, --cmd STRING     run a command; repeatable");
        ctx.Line("  -f, --format FMT     format of the image (probed)");
        ctx.Line("  -r, --read-only      open read-only");
        ctx.Line("  -s, --snapshot       keep changes in a temporary overlay");
        ctx.Line("  -n, --nocache        short for -t none");
        ctx.Line("  -C, --copy-on-read   copy what is read from backing images into the image");
        ctx.Line("  -d, --discard MODE   unmap or ignore (unmap)");
        ctx.Line("  -i, --aio MODE, -k   accepted for compatibility: threads, io_uring or native");
        ctx.Line("  -m, --misalign       accepted for compatibility");
        ctx.Line("  --object OBJECT      secret or TLS credentials");
        ctx.Line("  -t, --cache MODE     none, writeback, writethrough, directsync or unsafe");
        ctx.Line("  -T, --trace PATTERN  print trace events: qcow2_wp_tracking, qcow2_imp_open_zones");
        ctx.Line("  -U, --force-share    share the image with other processes");
        ctx.Line("  -h, --help           show this help");
        ctx.Line("  -V, --version        show the version");
        ctx.Line("");
        ctx.Line($"'{ctx.Program} -c help' lists the commands.");
    }
}
