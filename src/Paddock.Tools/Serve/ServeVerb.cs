using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Nvme;
using Paddock.Tools.Native;
using Paddock.Tools.Serve.Doors;

namespace Paddock.Tools.Serve;

/// <summary>`paddock serve`: images behind one or several doors, until a signal asks for the end.</summary>
public sealed class ServeVerb : IAsyncDisposable
{
    private const int WorkerThreads = 32;

    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(10);

    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly List<ServedDisk> _disks = [];
    private readonly List<IDoor> _doors = [];
    private MetricsPage? _metrics;
    private ControlSocket? _control;

    private ServeVerb(ServeSettings settings, ServeLog log)
    {
        _settings = settings;
        _log = log;
    }

    /// <summary>Where NVMe/TCP listens; null: nowhere.</summary>
    public IPEndPoint? NvmeAddress => _doors.OfType<NvmeDoor>().FirstOrDefault()?.Address;

    /// <summary>Where metrics are; null: nowhere.</summary>
    public IPEndPoint? MetricsAddress => _metrics?.Address;

    /// <summary>Serves until <paramref name="cancellationToken"/> asks for the end; then drains, flushes and closes.</summary>
    /// <param name="settings">What and where.</param>
    /// <param name="reload">Gives the settings anew after SIGHUP: the list of hosts is taken from them.</param>
    /// <param name="console">Takes the log on standard error.</param>
    /// <param name="cancellationToken">The end.</param>
    public static async Task RunAsync(
        ServeSettings settings, Func<ServeSettings>? reload, NativeConsole console, CancellationToken cancellationToken)
    {
        var log = new ServeLog(console.Error, TimeProvider.System, settings.JsonLog);
        await using var server = await StartAsync(settings, log);
        using var hangup = reload is null || OperatingSystem.IsWindows() ? null
            : PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
            {
                context.Cancel = true;
                server.Reload(reload);
            });
        try
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            log.Write("stopping");
        }
    }

    /// <summary>Opens the images and the doors.</summary>
    internal static async Task<ServeVerb> StartAsync(ServeSettings settings, ServeLog log)
    {
        if (settings.Nvme is null && settings.Nbd is null && !WantsVhostUser(settings))
        {
            throw new ToolException("nothing to serve by: give --nvme HOST:PORT, --nbd HOST:PORT, --vhost-user PATH, or several");
        }

        if (settings.Images.Count == 0)
        {
            throw new ToolException("nothing to serve: name an image");
        }

        // a request that waits for the disk holds a thread; the others must not wait for a new one
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(Math.Max(workers, WorkerThreads), ports);
        var server = new ServeVerb(settings, log);
        try
        {
            await server.OpenImagesAsync();
            server.OpenDoors();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _control?.Dispose();
        _metrics?.Dispose();
        await Task.WhenAll(_doors.Select(door => door.CloseAsync(DrainLimit)));
        foreach (var door in _doors)
        {
            await door.DisposeAsync();
        }

        foreach (var node in _disks.Select(d => d.Node))
        {
            try
            {
                await node.Device.FlushAsync();
            }
            catch (BlockException e)
            {
                _log.Write("flush failed", ("image", node.Filename), ("why", e.Message));
            }

            await node.DisposeAsync();
        }

        _log.Write("stopped");
    }

    internal static string StemOf(string path) => Path.GetFileNameWithoutExtension(path);

    private static bool WantsVhostUser(ServeSettings settings) => settings.VhostUser is not null || settings.Images.Any(i => i.VhostUser is not null);

    private async Task OpenImagesAsync()
    {
        var opener = new ImageOpener(new ToolContext { Program = "paddock", Out = TextWriter.Null, Error = new LogWriter(_log) });
        foreach (var image in _settings.Images)
        {
            var node = await opener.OpenAsync(image.Path, new OpenSettings { ReadOnly = image.ReadOnly, Format = image.Format });
            _disks.Add(new ServedDisk(image, node, image.Export ?? StemOf(image.Path)));
        }
    }

    private void OpenDoors()
    {
        if (_settings.Nvme is { } nvme)
        {
            _doors.Add(new NvmeDoor(_settings, _disks, [DoorListener.Open(nvme, "--nvme", allowUnix: false)], _log));
        }

        if (_settings.Nbd is { } nbd)
        {
            _doors.Add(new NbdDoor(_settings, _disks, [DoorListener.Open(nbd, "--nbd", allowUnix: true)]));
        }

        if (WantsVhostUser(_settings))
        {
            _doors.Add(OperatingSystem.IsLinux() ? new VhostUserDoor(_settings, _disks, _log) : throw new ToolException("--vhost-user needs Linux"));
        }

        foreach (var door in _doors)
        {
            door.Open();
            foreach (string address in door.Addresses)
            {
                _log.Write("listening", ("door", door.Name), ("address", address));
            }
        }

        OpenSideDoors();
    }

    private void OpenSideDoors()
    {
        try
        {
            if (_settings.Metrics is { } metrics)
            {
                _metrics = new MetricsPage(DoorListener.Endpoint(metrics, "--metrics"), _doors, _disks);
                _log.Write("listening", ("door", "metrics"), ("address", $"http://{_metrics.Address}/metrics"));
            }

            if (_settings.Control is { } control)
            {
                var target = _doors.OfType<NvmeDoor>().FirstOrDefault()?.Target ?? new NvmeTarget(new NvmeTargetOptions());
                _control = new ControlSocket(control, target, DropConnections, _log);
                _log.Write("listening", ("door", "control"), ("address", control));
            }
        }
        catch (SocketException e)
        {
            throw new ToolException($"cannot listen: {e.Message}");
        }
    }

    private void DropConnections()
    {
        foreach (var door in _doors)
        {
            door.DropConnections();
        }
    }

    private void Reload(Func<ServeSettings> reload)
    {
        try
        {
            var settings = reload();
            foreach (var door in _doors)
            {
                _log.Write("reloaded", [("door", door.Name), ("changed", string.Join(", ", door.Reload(settings)))]);
            }
        }
        catch (ToolException e)
        {
            _log.Write("not reloaded", ("why", e.Message));
        }
    }

    /// <summary>Warnings of the engine, as log lines.</summary>
    private sealed class LogWriter(ServeLog log) : StringWriter(CultureInfo.InvariantCulture)
    {
        public override void Write(string? value) => log.Write("warning", ("why", (value ?? "").Trim()));
    }
}
