using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Server;

namespace Paddock.Cli.Native;

/// <summary>`paddock run`: serves disks while a command runs.</summary>
internal static class RunVerb
{
    /// <summary>Starts the server, runs the command, stops the server and closes the images.</summary>
    /// <param name="settings">Images and listeners.</param>
    /// <param name="words">The command.</param>
    /// <param name="list">File with a list of the drives, for the command; null: none.</param>
    /// <param name="report">Who is told when clients can connect; null: nobody.</param>
    /// <param name="exitWithParent">Whether the end of our parent terminates the command.</param>
    /// <param name="console">Receives the log on standard error.</param>
    /// <param name="cancellationToken">Stops the start; later the command gets the signals itself.</param>
    /// <returns>Exit code of the command; 1 if it succeeded and its data could not be made durable.</returns>
    public static async Task<int> RunAsync(
        ServeSettings settings, IReadOnlyList<string> words, string? list, ReadyReport? report, bool exitWithParent, NativeConsole console,
        CancellationToken cancellationToken)
    {
        SocketThreads.Prepare();

        // the command decides when it ends after a signal
        var stopLimit = console.StopLimit;
        console.StopLimit = Timeout.InfiniteTimeSpan;
        using var log = ServeLog.Open(settings, console.Error, LogLevel.Warning);
        log.Hold();
        await using var server = await PaddockServer.StartAsync(settings, log, web: WebBuild.Part);
        server.LogReady();
        if (list is not null)
        {
            FileNames.WriteAllText(list, JsonText.ReadableLines(FarmList.Of(server.Endpoints)) + "\n");
        }

        report?.Write(server);
        console.Out.Flush();
        var command = new CaptiveCommand(words, ServedVariables.Of(server.Endpoints, settings.Control!, list));
        int code = await command.RunAsync(exitWithParent, cancellationToken);

        // nobody is left who could wait for an answer
        server.StopNow();
        await server.DisposeAsync();
        console.StopLimit = stopLimit;
        return code == NativeExit.Success && server.FlushFailed ? NativeExit.Failure : code;
    }
}
