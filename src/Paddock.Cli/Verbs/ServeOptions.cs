using System.CommandLine;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve`; each has its key in a configuration file.</summary>
internal sealed class ServeOptions
{
    private readonly Argument<string[]> _images = new("IMAGE") { Description = "Images to serve.", Arity = ArgumentArity.ZeroOrMore };
    private readonly Option<string?> _config = new("--config") { Description = "A JSON file with the same settings; flags go before it.", HelpName = "FILE" };
    private readonly Option<string?> _nvme = new("--nvme") { Description = "Listen for NVMe/TCP.", HelpName = "HOST:PORT" };
    private readonly Option<string?> _nbd = new("--nbd") { Description = "Listen for NBD.", HelpName = "HOST:PORT|unix:PATH" };
    private readonly Option<string?> _tls = new("--nbd-tls-creds") { Description = "Folder of NBD's certificates, named as QEMU names them.", HelpName = "DIR" };
    private readonly Option<string?> _tlsMode = new("--nbd-tls")
    {
        Description = "Whether NBD clients must use TLS (default, given certificates).", HelpName = "required|allowed",
    };
    private readonly Option<string?> _tlsClients = new("--nbd-tls-clients") { Description = "Whether they must show one too (default).", HelpName = "required|none" };
    private readonly Option<bool> _nbdResize = new("--nbd-resize")
    {
        Description = "Let NBD clients change an export's size (an experimental extension of the protocol): they can make the file grow.",
    };
    private readonly Option<string?> _vhostUser = new("--vhost-user")
    {
        Description = "Unix socket for a virtual machine (vhost-user-blk); several images: a folder for one socket each, NAME.sock.", HelpName = "PATH",
    };
    private readonly Option<int?> _queues = new("--vhost-user-queues") { Description = "Queues of a vhost-user disk (default 4).", HelpName = "N" };
    private readonly Option<bool?> _sealed = new("--vhost-user-sealed")
    {
        Description = "Refuse guest memory that cannot be sealed: its owner could end the server by cutting it short (default true).", HelpName = "true|false",
    };
    private readonly Option<string?> _metrics = new("--metrics") { Description = "Serve Prometheus metrics at /metrics.", HelpName = "HOST:PORT|unix:PATH" };
    private readonly Option<string[]> _metricsHosts = new("--metrics-host")
    {
        Description = "Host name by which HTTP clients may ask for the metrics, beside localhost and the addresses; may be repeated.", HelpName = "NAME",
    };
    private readonly Option<string?> _control = new("--control") { Description = "Unix socket for 'paddock fault' and 'paddock resize'.", HelpName = "PATH" };
    private readonly Option<string?> _nqn = new("--nqn") { Description = "Qualified name of the NVMe subsystem.", HelpName = "NQN" };
    private readonly Option<string[]> _hosts = new("--allow-host") { Description = "Qualified name of a host that may connect; may be repeated.", HelpName = "NQN" };
    private readonly Option<string?> _keys = new("--dhchap-keys")
    {
        Description = "File of keys by which NVMe hosts must authenticate, one 'HOSTNQN KEY [CONTROLLERKEY]' a line, readable by its owner alone. "
            + "PADDOCK_DHCHAP_SECRET and PADDOCK_DHCHAP_CTRL_SECRET are the keys of every other host.",
        HelpName = "FILE",
    };
    private readonly Option<string?> _format = new("--format") { Description = "Format of the images; probed unless given.", HelpName = "qcow2|raw" };
    private readonly Option<string?> _backing = new("--backing")
    {
        Description = "Backing files that images may name (default same-directory).", HelpName = "none|same-directory|any",
    };
    private readonly Option<bool> _readOnly = new("--read-only") { Description = "Take no writes." };
    private readonly Option<int?> _block = new("--block-size") { Description = "Bytes of an NVMe logical block: 512 (default) or 4096.", HelpName = "BYTES" };
    private readonly Option<int?> _connections = new("--max-connections") { Description = "Connections at once by each listener (default 256).", HelpName = "N" };
    private readonly Option<string?> _memory = new("--max-memory") { Description = "Memory for the data of requests (default 1G).", HelpName = "SIZE" };
    private readonly Option<int?> _idle = new("--idle-timeout")
    {
        Description = "Seconds of silence until a client is dropped; 0: never (default 600, for NBD only when full).",
        HelpName = "S",
    };
    private readonly Option<int?> _drain = new("--drain-timeout") { Description = "Seconds that a stop waits for requests under way (default 10).", HelpName = "S" };
    private readonly Option<bool> _check = new("--check-config") { Description = "Say what would be served, and end." };
    private readonly Option<string?> _cache = new("--volatile-cache")
    {
        Description = "Keep what is not flushed in memory alone, up to SIZE for each image, as a drive does; 'paddock fault ... powercut' drops it.",
        HelpName = "SIZE",
    };
    private readonly Option<string[]> _faults = new("--faults") { Description = "A script of faults, run from the start; may be repeated.", HelpName = "FILE" };
    private readonly Option<bool> _jsonLog = new("--json-log") { Description = "Write the log as JSON lines." };

    /// <summary>Whether only what would be served is asked for.</summary>
    public bool IsCheck(ParseResult parsed) => parsed.GetValue(_check);

    /// <summary>Whether a file stands behind the settings, so that reading them again may give others.</summary>
    public bool HasFiles(ParseResult parsed) => parsed.GetValue(_config) is not null || parsed.GetValue(_keys) is not null
        || parsed.GetValue(_tls) is not null;

    /// <summary>Gives a command these options.</summary>
    public void AddTo(Command command)
    {
        command.Add(_images);
        foreach (var option in new Option[]
        {
            _config, _check, _nvme, _nbd, _tls, _tlsMode, _tlsClients, _nbdResize, _vhostUser, _queues, _sealed, _metrics, _metricsHosts, _control, _nqn, _hosts,
            _keys, _format, _backing, _readOnly, _block, _connections, _memory, _idle, _drain, _cache, _faults, _jsonLog,
        })
        {
            command.Add(option);
        }
    }

    /// <summary>The settings: the file's, with the flags before them.</summary>
    public ServeSettings SettingsOf(ParseResult parsed)
    {
        var given = parsed.GetValue(_config) is { } file ? ServeSettings.Load(file) : new ServeSettings();
        string[] allowed = parsed.GetValue(_hosts) ?? [];
        return given with
        {
            Images = [.. (parsed.GetValue(_images) ?? []).Select(path => new ServedImage
            {
                Path = path, Format = parsed.GetValue(_format), ReadOnly = parsed.GetValue(_readOnly),
            }), .. given.Images],
            Nvme = parsed.GetValue(_nvme) ?? given.Nvme,
            Nbd = parsed.GetValue(_nbd) ?? given.Nbd,
            VhostUser = parsed.GetValue(_vhostUser) ?? given.VhostUser,
            VhostUserQueues = parsed.GetValue(_queues) ?? given.VhostUserQueues,
            VhostUserSealed = parsed.GetValue(_sealed) ?? given.VhostUserSealed,
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
            Control = parsed.GetValue(_control) ?? given.Control,
            Nqn = parsed.GetValue(_nqn) ?? given.Nqn,
            AllowHosts = [.. allowed, .. given.AllowHosts],
            DhchapKeys = parsed.GetValue(_keys) ?? given.DhchapKeys,
            Backing = parsed.GetValue(_backing) ?? given.Backing,
            BlockSize = parsed.GetValue(_block) ?? given.BlockSize,
            VolatileCache = parsed.GetValue(_cache) ?? given.VolatileCache,
            Faults = [.. parsed.GetValue(_faults) ?? [], .. given.Faults],
            JsonLog = parsed.GetValue(_jsonLog) || given.JsonLog,
        };
    }
}
