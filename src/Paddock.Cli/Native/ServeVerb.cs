using System.Runtime.InteropServices;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Server;

namespace Paddock.Cli.Native;

/// <summary>`paddock serve`: runs a server until a signal stops it.</summary>
public static class ServeVerb
{
    /// <summary>Serves until cancelled; then drains, flushes and closes.</summary>
    /// <param name="settings">Images and listeners.</param>
    /// <param name="process">How the process behaves besides serving.</param>
    /// <param name="console">Receives the log on standard error.</param>
    /// <param name="cancellationToken">Stops the server.</param>
    /// <returns>Whether everything that clients wrote is durable, and no other process has taken over every image.</returns>
    public static async Task<bool> RunAsync(
        ServeSettings settings, ServeProcess process, NativeConsole console, CancellationToken cancellationToken)
    {
        var reload = process.Reload;
        using var orphaned = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        SocketThreads.Prepare();

        // flushing and closing begin only after the drain timeout
        console.StopLimit += TimeSpan.FromSeconds(settings.DrainTimeout);
        using var log = ServeLog.Open(settings, console.Error, process.Level);
        log.Hold();
        var manager = ServiceManager.Of(Environment.GetEnvironmentVariable, Environment.ProcessId);
        if (reload is not null)
        {
            // nothing to reload until everything is open
            console.HandleHangup(static () => true);
        }

        if (process.ExitsWithParent)
        {
            WatchParent(orphaned, console, log);
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

                Reopen(log);
                server.Reload(reload);
                return true;
            });
        }

        var stops = new StopRequest(TimeProvider.System);
        using var hangup = OperatingSystem.IsWindows() || reload is not null ? null : CountSignal(PosixSignal.SIGHUP, server, stops, log);
        using var interrupt = CountSignal(PosixSignal.SIGINT, server, stops, log);
        using var terminate = CountSignal(PosixSignal.SIGTERM, server, stops, log);
        console.Announce(process.Lines(server));
        process.Report.Write(server);
        server.LogReady();
        manager.Ready();
        try
        {
            await server.Lost.WaitAsync(orphaned.Token);
        }
        catch (OperationCanceledException)
        {
            // stopped by a signal, or orphaned
        }

        manager.Stopping();
        bool isLost = server.Lost.IsCompleted;
        log.Write("stopping", isLost ? [("reason", "every image was taken over by another process")] : []);

        // dispose here, while further signals are still handled
        await server.DisposeAsync();
        return !server.FlushFailed && !isLost;
    }

    private static void Reopen(ServeLog log)
    {
        try
        {
            log.Reopen();
        }
        catch (ToolException e)
        {
            log.Write("reload failed", ("reason", e.Message));
        }
    }

    private static void WatchParent(CancellationTokenSource stop, NativeConsole console, ServeLog log)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new ToolException("--exit-with-parent requires Linux");
        }

        ParentProcess.Watch(() =>
        {
            try
            {
                // first: cancelling may run the whole stop
                log.Write("parent ended");
                stop.Cancel();
                _ = Task.Delay(console.StopLimit).ContinueWith(_ => Environment.Exit(NativeExit.Failure), TaskScheduler.Default);
            }
            catch (ObjectDisposedException)
            {
                // the server has stopped
            }
        });
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
