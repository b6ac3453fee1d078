using Paddock.Images;
using Paddock.Nbd;
using Paddock.Nbd.Transport;
using Paddock.Server.Disks;
using Paddock.Server.Metrics;
using Paddock.Server.Standby;
using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>Serves images as NBD exports.</summary>
internal sealed class NbdListener : IListener
{
    private static readonly RequestKind[] _kinds =
    [
        new("read", ServedOperation.Read),
        new("write", ServedOperation.Write),
        new("flush", ServedOperation.Flush),
        new("trim", ServedOperation.Trim),
        new("zeroes", ServedOperation.Zeroes),
        new("other", ServedOperation.Other),
    ];

    private readonly NbdServer _server;
    private readonly IReadOnlyList<ListeningSocket> _listeners;
    private readonly Dictionary<ServedDisk, NbdExport> _exports;
    private readonly TlsMode _tls;

    // Reload replaces the certificates; existing connections may still use the old ones
    private readonly List<TlsCredentials> _credentials = [];

    public NbdListener(
        ServeSettings settings, IReadOnlyList<ServedDisk> disks, IReadOnlyList<ListeningSocket> listeners, SlabPool buffers, ServeLog log)
    {
        _listeners = listeners;
        if (disks.GroupBy(d => d.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new ToolException(
                $"two images have the export name '{twice.Key}': set \"export\" of one of them in the configuration file");
        }

        _exports = disks.ToDictionary(d => d, d => ExportOf(d, settings.NbdResize));
        var credentials = Credentials(settings);
        _tls = credentials is null ? TlsMode.Off : settings.NbdTls == "allowed" ? TlsMode.Allowed : TlsMode.Required;
        var options = new NbdServerOptions
        {
            MaxConnections = settings.MaxConnections,
            IdleLimit = TimeSpan.FromSeconds(settings.IdleTimeout ?? 0),
            IdleEviction = TimeSpan.FromSeconds(settings.IdleTimeout ?? ServeSettings.DefaultIdleSeconds),
            Buffers = buffers,
            Tls = _tls,
            Credentials = credentials,
            Notices = notice => ClientEvents.Write(log, "nbd", "export", notice),
            Evicted = () => log.Write("evicted", ("listener", "nbd"), ("reason", ListeningSocket.EvictedWhy)),
            Log = line => log.Write("client error", ("listener", "nbd"), ("reason", line)),
        };
        _server = new NbdServer(options, WithDefault());
    }

    /// <inheritdoc/>
    public string Name => "nbd";

    /// <inheritdoc/>
    public IReadOnlyList<string> Addresses => [.. _listeners.Select(l => l.Address)];

    /// <inheritdoc/>
    public IReadOnlyList<ServedEndpoint> Endpoints
        => [.. _exports.Keys.SelectMany(
            disk => _listeners.Select(listener => ServedEndpoint.Nbd(listener, disk.Name, _tls == TlsMode.Required)))];

    /// <inheritdoc/>
    public int Connections => _server.Connections;

    /// <summary>Reads the certificates; null if none are configured.</summary>
    /// <exception cref="ToolException">The certificates cannot be read.</exception>
    public static TlsCredentials? CredentialsOf(ServeSettings settings)
    {
        try
        {
            return settings.NbdTlsCreds is { } folder
                ? TlsCredentials.FromFolder(folder, isServer: true, verifyPeer: settings.NbdTlsClients == "required") : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"--nbd-tls-creds {settings.NbdTlsCreds}: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public void Open()
    {
        foreach (var listener in _listeners)
        {
            _server.Listen(listener.Socket);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        foreach (var listener in _listeners)
        {
            listener.Remove();
        }

        foreach (var credentials in _credentials)
        {
            credentials.Dispose();
        }
    }

    /// <inheritdoc/>
    public Task CloseAsync(TimeSpan limit) => _server.StopAsync(limit);

    /// <inheritdoc/>
    public void DropConnections() => _server.DropConnections();

    /// <inheritdoc/>
    public void Admit(bool clients) => _server.Admit(clients);

    /// <inheritdoc/>
    public Task GoneAsync(TimeSpan limit) => _server.GoneAsync(limit);

    /// <inheritdoc/>
    public long BytesWritten(ServedDisk disk) => _exports[disk].Statistics.BytesWritten;

    /// <inheritdoc/>
    public void WriteMetrics(MetricsText page)
    {
        foreach (var (disk, export) in _exports)
        {
            var (label, s) = (("export", disk.Name), export.Statistics);
            page.Counter("paddock_nbd_requests_total", "NBD requests received.", s.Requests, label);
            page.Counter("paddock_nbd_request_errors_total", "NBD requests answered with an error.", s.Errors, label);
            page.Counter(
                "paddock_nbd_bytes_total", "Bytes read and written by successful NBD requests.", s.BytesRead, label, ("kind", "read"));
            page.Counter(
                "paddock_nbd_bytes_total", "Bytes read and written by successful NBD requests.", s.BytesWritten, label, ("kind", "write"));
        }

        RequestMetrics.WriteLatencies(
            page, "paddock_nbd_latency_seconds", "Time from the start of an NBD request to its reply.", _server.Latencies, _kinds);
        page.Counter("paddock_nbd_connections_accepted_total", "NBD connections accepted.", _server.Accepted);
        page.Counter("paddock_nbd_connections_refused_total", "NBD connections closed because of a client error.", _server.Refused);
    }

    /// <inheritdoc/>
    public string? CannotResize(ServedDisk disk, long length) => null;

    /// <inheritdoc/>
    public void Resized(ServedDisk disk)
    {
        // NBD has no message for it: a client asks for the size when it connects
    }

    /// <inheritdoc/>
    public Task AnnounceAsync(ServedDisk disk, DiskState state, TimeSpan limit) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Show(ServedDisk disk, DiskState state)
        => _server.Offer(
            disk.Device,
            state == DiskState.Active ? null : $"'{disk.Name}' is {DiskStateNames.PhraseOf(state)}: another server owns the image");

    /// <inheritdoc/>
    public void Disconnect(ServedDisk disk) => _server.DropConnections(disk.Device);

    /// <inheritdoc/>
    public IEnumerable<string> Reload(ServeSettings settings)
    {
        // TLS cannot be turned on or off at run time
        if (_server.Credentials is null || settings.NbdTlsCreds is null)
        {
            return [];
        }

        string before = _server.Credentials.Certificate!.Thumbprint;
        _server.Credentials = Credentials(settings);
        string after = _server.Credentials!.Certificate!.Thumbprint;
        return before == after ? [] : [$"certificate {after}"];
    }

    private static NbdExport ExportOf(ServedDisk disk, bool resize) => new()
    {
        Name = disk.Name,
        Description = disk.Settings.Description ?? "",
        Device = disk.Device,
        ReadOnly = disk.Settings.ReadOnly,
        OffersResize = resize,
    };

    private TlsCredentials? Credentials(ServeSettings settings)
    {
        var credentials = CredentialsOf(settings);
        if (credentials is not null)
        {
            _credentials.Add(credentials);
        }

        return credentials;
    }

    private IEnumerable<NbdExport> WithDefault()
    {
        foreach (var export in _exports.Values)
        {
            yield return export;
        }

        // a client that does not name an export gets the only one
        if (_exports.Values.ToArray() is [{ Name.Length: > 0 } only])
        {
            yield return new NbdExport
            {
                Name = "", Description = only.Description, Device = only.Device, ReadOnly = only.ReadOnly, OffersResize = only.OffersResize,
                Statistics = only.Statistics,
            };
        }
    }
}
