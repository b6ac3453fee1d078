using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of a server that `paddock serve`, `run` and `farm` share: all but images and addresses.</summary>
internal sealed class ServerOptions
{
    private readonly Option<string?> _tls = Text(
        "--nbd-tls-creds", "DIR", "Directory of the TLS certificates for NBD, named as for QEMU.");

    private readonly Option<string?> _tlsMode = Text("--nbd-tls", "MODE", "Whether NBD clients must use TLS (default: required).");

    private readonly Option<string?> _tlsClients =
        Text("--nbd-tls-clients", "MODE", "Whether NBD clients must present a certificate (default: required).");

    private readonly Option<bool> _nbdResize =
        Flag("--nbd-resize", "Allows NBD clients to resize exports (experimental extension).");

    private readonly Option<int?> _queues = Number("--vhost-user-queues", "N", "Number of queues of a vhost-user disk (default: 4).");

    private readonly Option<string?> _sealed =
        Text("--vhost-user-sealed", "BOOL", "Whether guest memory must be sealed (default: true).").OneOf("true", "false");

    private readonly Option<string?> _metrics = Text("--metrics", "ADDRESS", "Address of the Prometheus metrics page, /metrics.");

    private readonly Option<string[]> _metricsHosts =
        Repeated("--metrics-host", "NAME", "Host name accepted in requests for metrics; repeatable.");

    private readonly Option<string?> _web = Text("--web", "ADDRESS", "Address of the live page for browsers, and of its API.");

    private readonly Option<string[]> _webHosts =
        Repeated("--web-host", "NAME", "Host name accepted in requests to the page; repeatable.");

    private readonly Option<bool> _webControl = Flag("--web-control", "Allows clients with the token to change zones.");

    private readonly Option<string?> _webToken = Text(
        "--web-token-file", "FILE", "Token of --web-control, 16 characters or more; owner-only file.");

    private readonly Option<string?> _trace = Text("--trace-file", "FILE", "Writes a trace of all requests, for ui.perfetto.dev.");

    private readonly Option<string?> _traceSize = Text("--trace-size", "SIZE", "Maximum size of the trace (default: 64M).");

    private readonly Option<string?> _control = Text(
        "--control", "PATH", "Unix socket for fault, resize, snapshot, backup, handover.");

    private readonly Option<string?> _nqn = Text("--nqn", "NQN", "Name of the NVMe subsystem (default: from the first image's name).");

    private readonly Option<string[]> _hosts = Repeated(
        "--allow-host", "NQN", "NVMe host that may connect; repeatable (default: all hosts).");

    private readonly Option<string?> _keys = Text("--dhchap-keys", "FILE", "Keys with which NVMe hosts must authenticate.");

    private readonly Option<string?> _format = Text("--format", "FORMAT", "Format of the images, qcow2 or raw (default: probed).");

    private readonly PassphraseOption _passphrase = PassphraseOption.Create();

    private readonly Option<string?> _backing =
        Text("--backing", "POLICY", "Backing files that images may use (default: same-directory).");

    private readonly Option<bool> _readOnly = Flag("--read-only", "Rejects writes.");

    private readonly Option<int?> _block = Number("--block-size", "BYTES", "NVMe logical block size, 512 or 4096 (default: 512).");

    private readonly Option<int?> _connections =
        Number("--max-connections", "N", "Maximum number of connections per listener (default: 256).");

    private readonly Option<string?> _memory = Text("--max-memory", "SIZE", "Maximum memory for request data (default: 1G).");

    private readonly Option<int?> _idle =
        Number("--idle-timeout", "S", "Seconds until an idle client is dropped; 0: never (default: 600).");

    private readonly Option<int?> _drain =
        Number("--drain-timeout", "S", "Seconds to wait for requests in flight when stopping (default: 10).");

    private readonly Option<string?> _cache = Text(
        "--volatile-cache", "SIZE", "Volatile write cache per image, to test power cuts (default: none).");

    private readonly Option<string[]> _faults = Repeated("--faults", "FILE", "Script of fault commands, run from the start; repeatable.");

    private readonly Option<bool> _jsonLog = Flag("--json-log", "Writes the log as JSON lines.");

    private readonly Option<string?> _logLevel =
        Text("--log-level", "LEVEL", "Events to log: error, warning, info or debug.").OneOf("error", "warning", "info", "debug");

    private readonly Option<string?> _logFile = Text("--log-file", "FILE", "Appends the log to a file, opened again at SIGHUP.");

    /// <summary>Whether the options refer to files, so that a reload may change them.</summary>
    public bool HasFiles(ParseResult parsed)
        => parsed.GetValue(_keys) is not null || parsed.GetValue(_tls) is not null || parsed.GetValue(_logFile) is not null;

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[]
        {
            _tls, _tlsMode, _tlsClients, _nbdResize, _queues, _sealed, _metrics, _metricsHosts,
            _web, _webHosts, _webControl, _webToken, _trace, _traceSize, _control, _nqn, _hosts, _keys, _format,
            _passphrase, _backing, _readOnly, _block, _connections, _memory, _idle, _drain, _cache, _faults, _jsonLog, _logLevel, _logFile,
        })
        {
            command.Add(option);
        }
    }

    /// <summary>Format of the images; null: probed.</summary>
    public string? FormatOf(ParseResult parsed) => parsed.GetValue(_format);

    /// <summary>The passphrase of the images; null without the option.</summary>
    public ReadOnlyMemory<byte>? PassphraseOf(ParseResult parsed) => _passphrase.Read(parsed);

    /// <summary>An image on the command line.</summary>
    public ServedImage ImageOf(string path, ParseResult parsed) => new()
    {
        Path = path, Format = parsed.GetValue(_format), PassphraseFile = parsed.GetValue(_passphrase),
        ReadOnly = parsed.GetValue(_readOnly),
    };

    /// <summary>Settings, overridden by these options.</summary>
    public ServeSettings Over(ServeSettings given, ParseResult parsed) => given with
    {
        VhostUserQueues = parsed.GetValue(_queues) ?? given.VhostUserQueues,
        VhostUserSealed = parsed.GetValue(_sealed) is { } isSealed ? isSealed == "true" : given.VhostUserSealed,
        NbdTlsCreds = parsed.GetValue(_tls) ?? given.NbdTlsCreds,
        NbdTls = parsed.GetValue(_tlsMode) ?? given.NbdTls,
        NbdTlsClients = parsed.GetValue(_tlsClients) ?? given.NbdTlsClients,
        NbdResize = parsed.GetValue(_nbdResize) || given.NbdResize,
        MaxConnections = parsed.GetValue(_connections) ?? given.MaxConnections,
        MaxMemory = parsed.GetValue(_memory) ?? given.MaxMemory,
        IdleTimeout = parsed.GetValue(_idle) ?? given.IdleTimeout,
        DrainTimeout = parsed.GetValue(_drain) ?? given.DrainTimeout,
        Metrics = parsed.GetValue(_metrics) ?? given.Metrics,
        MetricsHosts = [.. parsed.GetValue(_metricsHosts) ?? [], .. given.MetricsHosts],
        Web = parsed.GetValue(_web) ?? given.Web,
        WebHosts = [.. parsed.GetValue(_webHosts) ?? [], .. given.WebHosts],
        WebControl = parsed.GetValue(_webControl) || given.WebControl,
        WebTokenFile = parsed.GetValue(_webToken) ?? given.WebTokenFile,
        TraceFile = parsed.GetValue(_trace) ?? given.TraceFile,
        TraceSize = parsed.GetValue(_traceSize) ?? given.TraceSize,
        Control = parsed.GetValue(_control) ?? given.Control,
        Nqn = parsed.GetValue(_nqn) ?? given.Nqn,
        AllowHosts = [.. parsed.GetValue(_hosts) ?? [], .. given.AllowHosts],
        DhchapKeys = parsed.GetValue(_keys) ?? given.DhchapKeys,
        Backing = parsed.GetValue(_backing) ?? given.Backing,
        BlockSize = parsed.GetValue(_block) ?? given.BlockSize,
        VolatileCache = parsed.GetValue(_cache) ?? given.VolatileCache,
        Faults = [.. parsed.GetValue(_faults) ?? [], .. given.Faults],
        JsonLog = parsed.GetValue(_jsonLog) || given.JsonLog,
        LogLevel = parsed.GetValue(_logLevel) ?? given.LogLevel,
        LogFile = parsed.GetValue(_logFile) ?? given.LogFile,
    };

    internal static Option<string?> Text(string name, string value, string description)
        => new(name) { Description = description, HelpName = value };

    internal static Option<string[]> Repeated(string name, string value, string description)
        => new(name) { Description = description, HelpName = value };

    internal static Option<bool> Flag(string name, string description) => new(name) { Description = description };

    internal static Option<int?> Number(string name, string value, string description)
        => new(name) { Description = description, HelpName = value, CustomParser = Numbers.Whole };
}
