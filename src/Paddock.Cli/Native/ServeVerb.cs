using System.Runtime.InteropServices;
using Paddock.Posix;
using Paddock.Server;

namespace Paddock.Cli.Native;

/// <summary>`paddock serve`: runs a server until a signal stops it.</summary>
public static class ServeVerb
{
    /// <summary>Serves until cancelled; then drains, flushes and closes.</summary>
    /// <param name="settings">Images and listeners.</param>
    /// <param name="reload">Reloads the settings on SIGHUP; null: SIGHUP stops the server.</param>
    /// <param name="console">Receives the log on standard error.</param>
    /// <param name="cancellationToken">Stops the server.</param>
    /// <returns>Whether everything that clients wrote is durable.</returns>
    public static async Task<bool> RunAsync(
        ServeSettings settings, Func<ServeSettings>? reload, NativeConsole console, CancellationToken cancellationToken)
    {
        SocketThreads.Prepare();

        // flushing and closing begin only after the drain timeout
        console.StopLimit += TimeSpan.FromSeconds(settings.DrainTimeout);
        var log = new ServeLog(console.Error, TimeProvider.System, settings.JsonLog);
        var manager = ServiceManager.Of(Environment.GetEnvironmentVariable, Environment.ProcessId);
        if (reload is not null)
        {
            // nothing to reload until everything is open
            console.HandleHangup(static () => true);
        }

        bool hadTerminal = Terminal.HasControllingTerminal();
        await using var server = await PaddockServer.StartAsync(settings, log, manager, WebBuild.Part);
        if (reload is not null)
        {
            // closing the terminal sends the same signal
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

        // dispose here, while further signals are still handled
        await server.DisposeAsync();
        return !server.FlushFailed;
    }

    // the first signal stops the server gracefully (handled by the command line); a second one closes the connections
    private static PosixSignalRegistration CountSignal(PosixSignal signal, PaddockServer server, StopRequest stops, ServeLog log)
        => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            if (stops.Signal())
            {
                log.Write("stopping immediately");
                server.StopNow();
            }
        });
}
