using System.CommandLine;
using System.CommandLine.Help;
using Paddock.Block;
using Paddock.Tools;
using Paddock.Tools.Native;

namespace Paddock.Cli;

/// <summary>The verbs under Paddock's own name.</summary>
public static class NativeTools
{
    // a server that is asked to stop answers what is running and flushes first
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(60);

    /// <summary>Parses a command line and runs its verb.</summary>
    /// <returns>One of <see cref="NativeExit"/>.</returns>
    public static async Task<int> RunAsync(string[] args, NativeConsole console)
    {
        try
        {
            // '@file' is a file's name here, not a file of arguments
            var parsed = CommandTree.Build(console).Parse(
                args.Length == 0 ? ["--help"] : args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0 && parsed.Action is not (HelpAction or HelpWithExamples))
            {
                string verb = CommandTree.PathOf(parsed.CommandResult.Command);
                // a mistyped verb gives two errors, of which the last names it
                return Fail(
                    console, $"{parsed.Errors[^1].Message.TrimEnd('.')}; '{verb} --help' shows how it is written", NativeExit.Usage);
            }

            return await parsed.InvokeAsync(
                new InvocationConfiguration
                {
                    EnableDefaultExceptionHandler = false, Output = console.Out, Error = console.Error, ProcessTerminationTimeout = StopLimit,
                });
        }
        catch (ToolException e)
        {
            return Fail(console, e.Message, e.ExitCode);
        }
        catch (OperationCanceledException)
        {
            return Fail(console, "stopped", NativeExit.Stopped);
        }
        catch (Exception e) when (e is BlockException or IOException or UnauthorizedAccessException)
        {
            return Fail(console, e.Message, NativeExit.Failure);
        }
        finally
        {
            Flush(console);
        }
    }

    private static int Fail(NativeConsole console, string message, int code)
    {
        console.EndProgress();
        Flush(console);
        console.Error.WriteLine("paddock: " + message.ReplaceLineEndings(" "));
        return code;
    }

    private static void Flush(NativeConsole console)
    {
        try
        {
            console.Out.Flush();
        }
        catch (IOException)
        {
            // the reader of a pipe has gone ('paddock zones | head'): nobody is left to tell
        }
    }
}
