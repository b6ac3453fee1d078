using System.CommandLine;
using System.CommandLine.Help;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Paddock.Cli.Completion;
using Paddock.Cli.Native;
using Paddock.Cli.Verbs;
using Paddock.Compat;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Cli;

/// <summary>Runs the native commands.</summary>
public static partial class NativeTools
{
    /// <summary>Parses a command line and runs its command.</summary>
    /// <returns>One of <see cref="NativeExit"/>.</returns>
    public static async Task<int> RunAsync(string[] args, NativeConsole console)
    {
        int code = await RunGuardedAsync(args, console);
        console.Out.Flush();
        if (console.OutStream.Failure is { } why)
        {
            console.Error.WriteLine("paddock: " + why);
            code = code == NativeExit.Success ? NativeExit.Failure : code;
        }

        return code;
    }

    private static async Task<int> RunGuardedAsync(string[] args, NativeConsole console)
    {
        using var stop = new CancellationTokenSource();
        using var hangup = OperatingSystem.IsWindows() ? null : StopOn(PosixSignal.SIGHUP, NativeExit.HungUp, console, stop);
        using var interrupt = StopOn(PosixSignal.SIGINT, NativeExit.Stopped, console, stop);
        using var terminate = StopOn(PosixSignal.SIGTERM, NativeExit.Terminated, console, stop);
        ParseResult? parsed = null;
        try
        {
            if (args is [Completer.Request, var line])
            {
                await Completer.PrintAsync(line, console);
                return NativeExit.Success;
            }

            // '@file' is a file name, not a response file
            parsed = CommandTree.Build(console).Parse(
                args.Length == 0 ? ["--help"] : HelpCommand.WithVersionVerb(args),
                new ParserConfiguration { ResponseFileTokenReplacer = null });
            bool runs = parsed.Errors.Count > 0 || parsed.Action == parsed.CommandResult.Command.Action;
            if (runs && parsed.Action is not (HelpAction or HelpWithExamples) && ParseErrors.Find(parsed) is { } error)
            {
                return Fail(console, error, NativeExit.Usage);
            }

            return await parsed.InvokeAsync(
                new InvocationConfiguration
                {
                    EnableDefaultExceptionHandler = false, Output = console.Out, Error = console.Error, ProcessTerminationTimeout = null,
                },
                stop.Token);
        }
        catch (OutputException)
        {
            // reported by the caller
            return NativeExit.Failure;
        }
        catch (ToolException e)
        {
            return Fail(
                console, e.ExitCode == NativeExit.Usage && parsed is not null ? ParseErrors.WithOption(parsed, e.Message) : e.Message,
                e.ExitCode);
        }
        catch (OperationCanceledException)
        {
            return Fail(console, "stopped", NativeExit.Stopped);
        }
        catch (Exception e)
        {
            return Fail(console, ToolRun.Describe(e, Environment.GetEnvironmentVariable), NativeExit.Failure);
        }
    }

    // Registered before anything is opened: the parser's own handlers come only when the verb has begun, and a signal in between would end
    // the process or be lost. A closed terminal (SIGHUP) is a stop too unless the verb has another use for it. A signal that is ignored
    // (nohup) stays so.
    private static PosixSignalRegistration StopOn(PosixSignal signal, int code, NativeConsole console, CancellationTokenSource stop)
        => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            if ((signal != PosixSignal.SIGHUP || !console.Hangup()) && !stop.IsCancellationRequested)
            {
                _ = Task.Delay(console.StopLimit).ContinueWith(_ => Environment.Exit(code), TaskScheduler.Default);
                stop.Cancel();
            }
        });

    // QEMU's texts have sentences on lines of their own, and name a file once for each layer
    private static string OneLine(string message)
    {
        string[] lines = message.ReplaceLineEndings("\n")
            .Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string text = string.Join(
            ' ', lines.Select((line, i) => i < lines.Length - 1 && char.IsLetterOrDigit(line[^1]) ? line + "." : line));
        return RepeatedName().Replace(text, "$1");
    }

    [GeneratedRegex(@"^(Could not open '.*': )\1")]
    private static partial Regex RepeatedName();

    private static int Fail(NativeConsole console, string message, int code)
    {
        console.EndProgress();
        console.Out.Flush();
        console.Tell(OneLine(message));
        return code;
    }
}
