using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Nbd;
using Paddock.Nvme;
using Paddock.Tools.Native;

namespace Paddock.Tools.Serve;

/// <summary>`paddock serve`: images behind one or several doors, until a signal asks for the end.</summary>
public sealed class ServeVerb : IAsyncDisposable
{
    private const string DefaultNqn = "nqn.2026-01.io.paddock:";
    private const string UnixPrefix = "unix:";
    private const int WorkerThreads = 32;

    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(10);

    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly List<ImageNode> _nodes = [];
    private readonly List<NbdExport> _exports = [];
    private readonly NvmeTarget _target;
    private readonly DhChapPolicy? _keys;
    private NvmeTcpServer? _nvme;
    private NbdServer? _nbd;
    private MetricsPage? _metrics;
    private ControlSocket? _control;

    private ServeVerb(ServeSettings settings, ServeLog log)
    {
        _settings = settings;
        _log = log;
        _keys = ServeKeys.PolicyOf(settings, Environment.GetEnvironmentVariable);
        _target = new NvmeTarget(new NvmeTargetOptions
        {
            Connections = settings.MaxConnections,
            IdleTimeout = TimeSpan.FromSeconds(settings.IdleTimeout),
        });
        _target.Authenticated += (host, agreed) => _log.Write("authenticated", ("host", host), ("by", agreed));
    }

    /// <summary>Where NVMe/TCP listens; null: nowhere.</summary>
    public IPEndPoint? NvmeAddress => _nvme?.Address;

    /// <summary>Where metrics are; null: nowhere.</summary>
    public IPEndPoint? MetricsAddress => _metrics?.Address;

    /// <summary>Serves until <paramref name="cancellationToken"/> asks for the end; then drains, flushes and closes.</summary>
    /// <param name="settings">What and where.</param>
    /// <param name="reload">Gives the settings anew after SIGHUP: the list of hosts and the keys are taken from them.</param>
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
        if (settings.Nvme is null && settings.Nbd is null)
        {
            throw new ToolException("nothing to serve by: give --nvme HOST:PORT, --nbd HOST:PORT, or both");
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
        if (_nvme is not null)
        {
            await _nvme.StopAsync(DrainLimit);
        }

        if (_nbd is not null)
        {
            await _nbd.StopAsync();
            if (_settings.Nbd!.StartsWith(UnixPrefix, StringComparison.Ordinal))
            {
                File.Delete(_settings.Nbd[UnixPrefix.Length..]);
            }
        }

        foreach (var node in _nodes)
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

    private static string StemOf(string path) => Path.GetFileNameWithoutExtension(path);

    private static IPEndPoint Endpoint(string text, string flag)
        => IPEndPoint.TryParse(text, out var parsed) && text.Contains(':', StringComparison.Ordinal)
            ? parsed
            : text.StartsWith("localhost:", StringComparison.Ordinal) && ushort.TryParse(text[10..], CultureInfo.InvariantCulture, out ushort port)
                ? new IPEndPoint(IPAddress.Loopback, port)
                : throw new ToolException($"{flag} '{text}': an address is written 127.0.0.1:4420 or [::1]:4420");

    private async Task OpenImagesAsync()
    {
        var opener = new ImageOpener(new ToolContext { Program = "paddock", Out = TextWriter.Null, Error = new LogWriter(_log) });
        string first = _settings.Nqn ?? DefaultNqn + StemOf(_settings.Images[0].Path);
        foreach (var image in _settings.Images)
        {
            var node = await opener.OpenAsync(image.Path, new OpenSettings { ReadOnly = image.ReadOnly, Format = image.Format });
            _nodes.Add(node);
            string name = image.Export ?? StemOf(image.Path);
            _exports.Add(new NbdExport { Name = name, Device = node.Device, ReadOnly = image.ReadOnly });
            if (_settings.Nvme is not null)
            {
                AddNamespaces(SubsystemOf(image.Nqn ?? first), node, name);
            }
        }
    }

    private NvmeSubsystem SubsystemOf(string nqn)
    {
        if (_target.Subsystems.FirstOrDefault(s => s.Nqn == nqn) is { } known)
        {
            return known;
        }

        try
        {
            var subsystem = new NvmeSubsystem(nqn, $"PADDOCK{_target.Subsystems.Count:D8}")
            {
                AllowedHosts = HostsOf(_settings), Authentication = _keys,
            };
            _target.Add(subsystem);
            return subsystem;
        }
        catch (ArgumentException e)
        {
            throw new ToolException(e.Message);
        }
    }

    private static HashSet<string>? HostsOf(ServeSettings settings) => settings.AllowHosts.Count == 0 ? null : [.. settings.AllowHosts];

    private void AddNamespaces(NvmeSubsystem subsystem, ImageNode node, string name)
    {
        var parts = DiskWindow.Part(node.Device);
        foreach (var part in parts)
        {
            uint id = (uint)subsystem.Namespaces.Count + 1;
            try
            {
                subsystem.Add(new NvmeNamespace(id, part, _settings.BlockSize, name));
            }
            catch (ArgumentException e)
            {
                throw new ToolException($"'{node.Filename}' cannot be an NVMe namespace: it has {e.Message}");
            }

            string kind = part is IZonedBlockDevice ? "zoned" : parts.Count > 1 ? "plain (the conventional zones)" : "plain";
            _log.Write(
                "namespace", ("nqn", subsystem.Nqn), ("id", id.ToString(CultureInfo.InvariantCulture)), ("image", node.Filename), ("kind", kind));
            if (part is IZonedBlockDevice zoned && !long.IsPow2(zoned.Zoned.ZoneSize))
            {
                _log.Write("warning", ("image", node.Filename), ("why", "Linux takes no zones whose size is no power of two"));
            }
        }
    }

    private void OpenDoors()
    {
        try
        {
            if (_settings.Nvme is { } nvme)
            {
                _nvme = new NvmeTcpServer(_target, Listeners.Tcp(Endpoint(nvme, "--nvme")));
                _nvme.Ended += OnEnded;
                _nvme.Refused += () => _log.Write("refused", ("why", "too many connections"));
                _log.Write("listening", ("door", "nvme"), ("address", _nvme.Address.ToString()));
            }

            if (_settings.Nbd is { } nbd)
            {
                _nbd = new NbdServer(new NbdServerOptions(), WithDefault());
                _nbd.Listen(NbdListener(nbd));
                _log.Write("listening", ("door", "nbd"), ("address", nbd));
            }

            if (_settings.Metrics is { } metrics)
            {
                _metrics = new MetricsPage(Endpoint(metrics, "--metrics"), _target, _nvme, _nodes);
                _log.Write("listening", ("door", "metrics"), ("address", $"http://{_metrics.Address}/metrics"));
            }

            if (_settings.Control is { } control)
            {
                _control = new ControlSocket(control, _target, _log);
                _log.Write("listening", ("door", "control"), ("address", control));
            }
        }
        catch (SocketException e)
        {
            throw new ToolException($"cannot listen: {e.Message}");
        }
    }

    // a client that names no export gets the only one
    private List<NbdExport> WithDefault()
        => _exports.Count == 1 && _exports[0].Name.Length > 0
            ? [.. _exports, new NbdExport { Name = "", Device = _exports[0].Device, ReadOnly = _exports[0].ReadOnly }]
            : _exports;

    private static Socket NbdListener(string where)
        => where.StartsWith(UnixPrefix, StringComparison.Ordinal)
            ? Listeners.Unix(where[UnixPrefix.Length..])
            : Listeners.Tcp(Endpoint(where, "--nbd"));

    private void OnEnded(string host, string? why)
    {
        if (host.Length > 0 || why is not null)
        {
            if (why is null)
            {
                _log.Write("connection ended", ("host", host));
            }
            else
            {
                _log.Write("connection ended for a fault of the client", ("host", host), ("why", why));
            }
        }
    }

    private void Reload(Func<ServeSettings> reload)
    {
        try
        {
            var settings = reload();
            var (hosts, keys) = (HostsOf(settings), ServeKeys.PolicyOf(settings, Environment.GetEnvironmentVariable));
            foreach (var subsystem in _target.Subsystems)
            {
                subsystem.AllowedHosts = hosts;
                subsystem.Authentication = keys;
            }

            _log.Write(
                "reloaded",
                ("hosts", hosts is null ? "all" : hosts.Count.ToString(CultureInfo.InvariantCulture)),
                ("keys", (keys?.Hosts.Count ?? 0).ToString(CultureInfo.InvariantCulture)));
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
