using System.Globalization;
using System.Net;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Rbd;
using Paddock.Server.Backups;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Faults;
using Paddock.Server.Listeners;
using Paddock.Server.Live;
using Paddock.Server.Metrics;
using Paddock.Server.Namespaces;
using Paddock.Server.Resize;
using Paddock.Server.Snapshots;
using Paddock.Server.Standby;
using Paddock.Server.Tracing;
using Paddock.Server.Web;
using Paddock.Serving;

namespace Paddock.Server;

/// <summary>Serves images on one or several listeners.</summary>
public sealed class PaddockServer : IAsyncDisposable
{
    /// <summary>What the NQN of a subsystem begins with unless it is given; the name of the image follows.</summary>
    public const string DefaultNqn = "nqn.2026-01.io.paddock:";

    private const int WorkerThreads = 32;

    // images up to which each has its own client of a Ceph cluster
    private const int OwnConnections = 16;

    private const int OpenedTogether = 16;

    private readonly ServeSettings _settings;
    private readonly ServeLog _log;
    private readonly ServiceManager _manager;
    private readonly SlabPool _buffers;
    private readonly DiskSet _disks = new();
    private readonly List<IListener> _listeners = [];
    private readonly DiskOwnerships _owners;
    private IReadOnlyList<ServedDisk> _images = [];
    private NamespaceDirectory? _namespaces;
    private DriveHistory? _history;
    private FaultCommands? _faults;
    private ResizeCommands? _sizes;
    private FaultSchedule? _schedule;
    private TraceFile? _trace;
    private IReadOnlyList<ListeningSocket> _pages = [], _metrics = [];
    private IAsyncDisposable? _web;
    private readonly List<ControlSocket> _controls = [];
    private readonly CancellationTokenSource _stopping = new();
    private bool _closed, _started;

    private PaddockServer(ServeSettings settings, ServeLog log, ServiceManager manager)
    {
        _settings = settings;
        _log = log;
        _manager = manager;
        _buffers = new SlabPool(ServeCheck.MemoryOf(settings));
        _owners = new DiskOwnerships(settings, manager, log);
    }

    /// <summary>Address of NVMe/TCP; null: not served.</summary>
    public IPEndPoint? NvmeAddress => _listeners.OfType<NvmeListener>().FirstOrDefault()?.Address;

    /// <summary>Address of NBD, as shown to users; null: not served.</summary>
    public string? NbdAddress => _listeners.OfType<NbdListener>().FirstOrDefault()?.Addresses[0];

    /// <summary>Address of metrics; null: not served, or on a Unix socket.</summary>
    public IPEndPoint? MetricsAddress => _metrics is [var first, ..] ? first.EndPoint : null;

    /// <summary>Address of the live page; null: not served, or on a Unix socket.</summary>
    public IPEndPoint? WebAddress => _pages is [var first, ..] ? first.EndPoint : null;

    /// <summary>Where clients reach each disk: NVMe, NBD, vhost-user, vfio-user, each in the order of the images.</summary>
    public IReadOnlyList<ServedEndpoint> Endpoints => [.. _listeners.SelectMany(listener => listener.Endpoints)];

    /// <summary>TCP ports: of NVMe, NBD, metrics and the live page, where they are served.</summary>
    public IReadOnlyList<int> Ports
        => [.. Endpoints.Where(e => e.Port > 0).Select(e => (e.Listener, e.Port)).Distinct().Select(e => e.Port),
            .. MetricsAddress is { } metrics ? (int[])[metrics.Port] : [], .. WebAddress is { } web ? (int[])[web.Port] : []];

    /// <summary>Completes when another machine has taken over every image, and the server waits for none: it can only be stopped.</summary>
    public Task Lost => _owners.AllLost;

    /// <summary>Whether data that clients wrote could not be made durable when the server closed.</summary>
    public bool FlushFailed { get; private set; }

    /// <summary>Opens the images and the listeners.</summary>
    /// <param name="settings">Images and listeners.</param>
    /// <param name="log">Receives what happens.</param>
    /// <param name="manager">Sockets that were passed in; null: none.</param>
    /// <param name="web">The web part of this build; null: it has none.</param>
    public static async Task<PaddockServer> StartAsync(
        ServeSettings settings, ServeLog log, ServiceManager? manager = null, IWebPart? web = null)
    {
        manager ??= ServiceManager.None;
        ServeCheck.Validate(settings, manager);
        WebCheck.Validate(settings, manager, web);

        // requests that wait for the disk occupy threads; others must not wait for new ones to be created
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(Math.Max(workers, WorkerThreads), ports);
        var server = new PaddockServer(settings, log, manager);
        try
        {
            await server.OpenImagesAsync();
            await server.OpenListenersAsync(web);
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
        if (_closed)
        {
            return;
        }

        _closed = true;
        await _stopping.CancelAsync();
        var limit = TimeSpan.FromSeconds(_settings.DrainTimeout);
        var lines = _controls.ConvertAll(c => c.CloseAsync(limit));
        await (_web?.DisposeAsync() ?? ValueTask.CompletedTask);
        foreach (var socket in _pages.Concat(_metrics))
        {
            socket.Socket.Dispose();
            socket.Remove();
        }

        _schedule?.Dispose();
        await _owners.StopAsync();
        foreach (var disk in _disks)
        {
            // requests held by a rule would never end
            disk.Faults.Clear();
        }

        await Task.WhenAll([.. lines, .. _listeners.Select(listener => CloseAsync(listener, limit))]);
        foreach (var listener in _listeners)
        {
            await listener.DisposeAsync();
        }

        foreach (var disks in _disks.Chunk(OpenedTogether))
        {
            await Task.WhenAll(disks.Select(CloseAsync));
        }

        await (_history?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_namespaces?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_trace?.DisposeAsync() ?? ValueTask.CompletedTask);
        _stopping.Dispose();
        if (_started)
        {
            _log.Write("stopped");
        }
    }

    private async Task CloseAsync(ServedDisk disk)
    {
        if (await disk.CloseAsync() is { } why)
        {
            FlushFailed = true;
            _log.Write("flush failed", ("image", disk.Filename), ("reason", why));
        }
    }

    // a failed flush must not prevent the other images from being closed
    private async Task CloseAsync(IListener listener, TimeSpan limit)
    {
        try
        {
            await listener.CloseAsync(limit);
        }
        catch (Exception e)
        {
            _log.Write("flush failed", ("listener", listener.Name), ("reason", e.Message));
        }
    }

    private static long CacheSize(string text)
        => SizeText.Parse("volatile-cache", text) is >= VolatileStorage.MinSize and var size ? size
            : throw new ToolException($"volatile-cache '{text}': the minimum is {VolatileStorage.MinSize} bytes", NativeExit.Usage);

    internal static string StemOf(string path) => RbdTarget.ShortName(path) ?? Path.GetFileNameWithoutExtension(path);

    private async Task OpenImagesAsync()
    {
        var opener = new ImageOpener("paddock", new LogWriter(_log))
        {
            Backing = ImageChain.ParsePolicy(_settings.Backing),
            MarkBitmaps = false,

            // a client of a cluster has more than a dozen threads
            SharesConnections = _settings.Images.Count > OwnConnections,
        };
        if (_settings.TraceFile is { } file)
        {
            string[] names = [.. _settings.Images.Select(i => i.Export ?? StemOf(i.Path))];
            _trace = TraceFile.Create(file, TraceFile.SizeOf(_settings), names, _log);
        }

        var opening = new DiskOpenings(_settings.Images.Count, opener.SharesConnections ? OpenedTogether : 1, i => OpenAsync(opener, i));
        await foreach (var disk in opening.RunAsync())
        {
            _disks.Add(disk);
            _owners.Follow(disk, opener, _listeners);
            if (disk.OpenNode is { IsGuess: true })
            {
                _log.Write(
                    "format probed",
                    ("image", disk.Settings.Path),
                    ("reason", "no format was specified: writes to block 0 that would change the probed format are rejected; specify "
                        + "--format raw to allow them"));
            }
        }

        _images = [.. _disks];
        if (NamespaceSettings.Of(_settings) is { } namespaces)
        {
            long? cache = _settings.VolatileCache is { } size ? CacheSize(size) : null;
            _namespaces = await NamespaceDirectory.OpenAsync(namespaces, cache, opener, _disks, _log);
        }
    }

    private Task<ServedDisk> OpenAsync(ImageOpener opener, int index)
    {
        var image = _settings.Images[index];
        image = image with { WriteThrough = image.WriteThrough || _settings.WriteThrough };
        long? cache = (image.VolatileCache ?? _settings.VolatileCache) is { } size ? CacheSize(size) : null;
        string name = image.Export ?? StemOf(image.Path);
        var trace = _trace?.SinkOf(index);
        return _settings.Standby ? StandbyOpening.OpenAsync(opener, image, name, trace)
            : ServedDisk.OpenAsync(opener, image, name, cache, trace);
    }

    private async Task OpenListenersAsync(IWebPart? web)
    {
        var nvme = ListeningSocket.All(_manager, "nvme", _settings.Nvme, allowUnix: false);
        bool hasVfioUser = _settings.VfioUser.Count > 0 || _manager.Has("vfio-user");
        var subsystems = nvme.Count > 0 || hasVfioUser ? new NvmeSubsystems(_settings, _images, _namespaces, _buffers, _log) : null;
        if (subsystems is not null)
        {
            _history = DriveHistory.Of(_settings) is { } file ? DriveHistory.Open(file, subsystems.Target.Subsystems, _log) : null;
            subsystems.RecordPowerOn();
            DriveJournal.Follow(_log.Recent, subsystems);
        }

        if (subsystems is not null && nvme.Count > 0)
        {
            _listeners.Add(new NvmeListener(subsystems, nvme, _log));
        }

        if (ListeningSocket.All(_manager, "nbd", _settings.Nbd, allowUnix: true) is { Count: > 0 } nbd)
        {
            _listeners.Add(new NbdListener(_settings, _images, nbd, _buffers, _log));
        }

        if (_settings.VhostUser is not null || _settings.Images.Any(i => i.VhostUser is not null) || _manager.Has("vhost-user"))
        {
            _listeners.Add(OperatingSystem.IsLinux()
                ? new VhostUserListener(_settings, _images, _manager.Take("vhost-user"), _buffers, _log)
                : throw new ToolException("--vhost-user requires Linux"));
        }

        if (subsystems is not null && hasVfioUser)
        {
            _listeners.Add(OperatingSystem.IsLinux()
                ? new VfioUserListener(_settings, subsystems, _manager.Take("vfio-user"), isFirst: nvme.Count == 0, _log)
                : throw new ToolException("--vfio-user requires Linux"));
        }

        _sizes = new ResizeCommands(_disks, _listeners, _log);
        _owners.Start();
        await StartFaultsAsync();
        foreach (var listener in _listeners)
        {
            listener.Open();
            foreach (string address in listener.Addresses)
            {
                LogListening(listener.Name, address);
            }
        }

        await OpenServiceSocketsAsync(web);
    }

    // scripts that wait for a server look for the listener's former name, at the beginning of the line
    private void LogListening(string listener, string address)
        => _log.Write("listening", ("door", listener), ("address", address), ("listener", listener));

    // fault scripts apply before the first client connects
    private async Task StartFaultsAsync()
    {
        var power = new PowerSwitch(_disks, _listeners, _log, TimeProvider.System);
        _faults = new FaultCommands(_disks, _listeners, power);
        _schedule = new FaultSchedule([.. _settings.Faults.SelectMany(FaultScript.Load)], _faults, _images, _log, TimeProvider.System);
        await _schedule.StartAsync();
    }

    private async Task OpenServiceSocketsAsync(IWebPart? web)
    {
        var feed = new LiveFeed(_images, _listeners, _log.Recent, TimeProvider.System);
        var commands = new ControlCommands(
            _faults!, _sizes!, new SnapshotCommands(_disks, _log, TimeProvider.System),
            new BackupCommands(_disks, _log, TimeProvider.System, _stopping.Token),
            new HandoverCommands(_owners.All, _disks, TimeSpan.FromSeconds(_settings.DrainTimeout)), feed);
        await OpenWebAsync(web, feed, commands);
        var live = new LiveStream(feed);
        var control = _manager.Take("control").ToList();
        if (_settings.Control is { } path)
        {
            control.Add(ListeningSocket.Owned(path, "--control"));
        }

        foreach (var socket in control)
        {
            _controls.Add(new ControlSocket(socket, commands.ExecuteAsync, live, _log));
            LogListening("control", socket.Address);
        }
    }

    private async Task OpenWebAsync(IWebPart? web, LiveFeed feed, ControlCommands commands)
    {
        _metrics = ListeningSocket.All(_manager, "metrics", _settings.Metrics, allowUnix: true);
        _pages = ListeningSocket.All(_manager, "web", _settings.Web, allowUnix: true);
        if (web is null || (_pages.Count == 0 && _metrics.Count == 0))
        {
            return;
        }

        _web = await web.StartAsync(new WebPlan(new WebContent
        {
            Pages = _pages,
            Metrics = _metrics,
            PageHosts = _settings.WebHosts,
            MetricsHosts = _settings.MetricsHosts,
            Feed = feed,
            Listeners = _listeners,
            RenderMetrics = RenderMetricsAsync,
            Control = _settings.WebTokenFile is { } token
                ? new WebControl(token, feed, _listeners, commands.ExecuteAsync, _log) : null,
        }));
        foreach (var page in _pages)
        {
            LogListening("web", $"http://{page.Address}/");
        }

        foreach (var metrics in _metrics)
        {
            LogListening("metrics", $"http://{metrics.Address}/metrics");
        }
    }

    /// <summary>The metrics page.</summary>
    internal ValueTask<string> RenderMetricsAsync()
        => new MetricsPage(_listeners, _disks, _buffers, ServeCheck.MemoryOf(_settings)).RenderAsync();

    /// <summary>Logs <c>ready</c>, the last event of a start. A server that closes without it logs no <c>stopped</c>.</summary>
    public void LogReady()
    {
        _started = true;
        _log.Release();
        _log.WriteList("ready", "uris", Endpoints.Select(e => e.Uri).Distinct());
    }

    /// <summary>Closes every connection, so that stopping has nothing to wait for.</summary>
    public void StopNow()
    {
        foreach (var disk in _disks)
        {
            disk.Faults.GiveUpAll();
        }

        foreach (var listener in _listeners)
        {
            listener.DropConnections();
        }
    }

    /// <summary>Takes what may change while the server runs from the settings as they are now.</summary>
    /// <param name="reload">Reads the settings.</param>
    public void Reload(Func<ServeSettings> reload)
    {
        _manager.Reloading();
        try
        {
            var settings = reload();
            foreach (var listener in _listeners)
            {
                foreach (string change in listener.Reload(settings))
                {
                    _log.Write("changed", ("listener", listener.Name), ("detail", change));
                }
            }

            _log.Write("reloaded");
        }
        catch (ToolException e)
        {
            _log.Write("reload failed", ("reason", e.Message));
        }

        _manager.Ready();
    }

    /// <summary>Writes warnings of the engine to the log.</summary>
    private sealed class LogWriter(ServeLog log) : StringWriter(CultureInfo.InvariantCulture)
    {
        public override void Write(string? value) => log.Write("warning", ("reason", (value ?? "").Trim()));
    }
}
