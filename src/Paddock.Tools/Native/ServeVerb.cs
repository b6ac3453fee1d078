using System.Runtime.InteropServices;
using Paddock.Posix;
using Paddock.Tools.Serve;

namespace Paddock.Tools.Native;

/// <summary>`paddock serve`: runs a server until a signal asks for the end.</summary>
public static class ServeVerb
{
    /// <summary>Serves until <paramref name="cancellationToken"/> asks for the end; then drains, flushes and closes.</summary>
    /// <param name="settings">What and where.</param>
    /// <param name="reload">Reads the settings again after SIGHUP: the list of hosts is taken from them.</param>
    /// <param name="console">Takes the log on standard error.</param>
    /// <param name="cancellationToken">The end.</param>
    /// <returns>Whether all that clients wrote is durable.</returns>
    public static async Task<bool> RunAsync(
        ServeSettings settings, Func<ServeSettings>? reload, NativeConsole console, CancellationToken cancellationToken)
    {
        SocketThreads.Prepare();

        // flushing and closing begin when the requests under way have had their time
        console.StopLimit += TimeSpan.FromSeconds(settings.DrainTimeout);
        var log = new ServeLog(console.Error, TimeProvider.System, settings.JsonLog);
        var manager = ServiceManager.Of(Environment.GetEnvironmentVariable, Environment.ProcessId);
        if (reload is not null)
        {
            // there is nothing to read again before everything is open
            console.HandleHangup(static () => true);
        }

        bool hadTerminal = Terminal.HasControllingTerminal();
        await using var server = await PaddockServer.StartAsync(settings, log, manager);
        if (reload is not null)
        {
            // a terminal that is closed sends the same signal
            console.HandleHangup(() =>
            {
                if (hadTerminal && !Terminal.HasControllingTerminal())
                {
                    return false;
                }

                server.Reload(reload);
                return true;
            });
        }

        var stops = new StopRequest(TimeProvider.System);
        using var hangup = OperatingSystem.IsWindows() || reload is not null ? null : CountSignal(PosixSignal.SIGHUP, server, stops, log);
        using var interrupt = CountSignal(PosixSignal.SIGINT, server, stops, log);
        using var terminate = CountSignal(PosixSignal.SIGTERM, server, stops, log);
        manager.Ready();
        try
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            manager.Stopping();
            log.Write("stopping");
        }

        // here, while further signals are still heard
        await server.DisposeAsync();
        return !server.FlushFailed;
    }

    // the first signal asks for the end and belongs to the command line; a later one ends the connections of clients
    private static PosixSignalRegistration CountSignal(PosixSignal signal, PaddockServer server, StopRequest stops, ServeLog log)
        => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            if (stops.Signal())
            {
                log.Write("stopping at once");
                server.StopNow();
            }
        });
}
