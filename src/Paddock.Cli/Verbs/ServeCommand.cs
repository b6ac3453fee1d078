using System.CommandLine;
using Paddock.Tools;
using Paddock.Tools.Native;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock serve`.</summary>
internal static class ServeCommand
{
    public static Command Serve(NativeConsole console)
    {
        var images = new Argument<string[]>("IMAGE") { Description = "Images to serve.", Arity = ArgumentArity.ZeroOrMore };
        var config = new Option<string?>("--config") { Description = "A JSON file with the same settings; flags go before it.", HelpName = "FILE" };
        var nvme = new Option<string?>("--nvme") { Description = "Listen for NVMe/TCP.", HelpName = "HOST:PORT" };
        var nbd = new Option<string?>("--nbd") { Description = "Listen for NBD.", HelpName = "HOST:PORT|unix:PATH" };
        var tls = new Option<string?>("--nbd-tls-creds") { Description = "Folder of NBD's certificates, named as QEMU names them.", HelpName = "DIR" };
        var tlsMode = new Option<string?>("--nbd-tls") { Description = "Whether NBD clients must use TLS (default, given certificates).", HelpName = "required|allowed" };
        var tlsClients = new Option<string?>("--nbd-tls-clients") { Description = "Whether they must show a certificate (default).", HelpName = "required|none" };
        var vhostUser = new Option<string?>("--vhost-user")
        {
            Description = "Unix socket for a virtual machine (vhost-user-blk); several images: a folder for one socket each, NAME.sock.", HelpName = "PATH",
        };
        var queues = new Option<int?>("--vhost-user-queues") { Description = "Queues of a vhost-user disk (default 4).", HelpName = "N" };
        var metrics = new Option<string?>("--metrics") { Description = "Serve Prometheus metrics at /metrics.", HelpName = "HOST:PORT" };
        var control = new Option<string?>("--control") { Description = "Unix socket for 'paddock fault'.", HelpName = "PATH" };
        var nqn = new Option<string?>("--nqn") { Description = "Qualified name of the NVMe subsystem.", HelpName = "NQN" };
        var hosts = new Option<string[]>("--allow-host") { Description = "Qualified name of a host that may connect; may be repeated.", HelpName = "NQN" };
        var keys = new Option<string?>("--dhchap-keys")
        {
            Description = "File of keys by which NVMe hosts must authenticate, one 'HOSTNQN KEY [CONTROLLERKEY]' a line, readable by its owner alone. "
                + "PADDOCK_DHCHAP_SECRET and PADDOCK_DHCHAP_CTRL_SECRET are the keys of every other host.",
            HelpName = "FILE",
        };
        var format = new Option<string?>("--format") { Description = "Format of the images; probed unless given.", HelpName = "qcow2|raw" };
        var readOnly = new Option<bool>("--read-only") { Description = "Take no writes." };
        var block = new Option<int?>("--block-size") { Description = "Bytes of an NVMe logical block: 512 (default) or 4096.", HelpName = "BYTES" };
        var connections = new Option<int?>("--max-connections") { Description = "Connections at once by each door (default 256).", HelpName = "N" };
        var memory = new Option<string?>("--max-memory") { Description = "Memory for the data of requests (default 1G).", HelpName = "SIZE" };
        var idle = new Option<int?>("--idle-timeout") { Description = "Seconds of silence after which a client is dropped (default 0: never).", HelpName = "S" };
        var drain = new Option<int?>("--drain-timeout") { Description = "Seconds that a stop waits for requests under way (default 10).", HelpName = "S" };
        var check = new Option<bool>("--check-config") { Description = "Say what would be served, and end." };
        var cache = new Option<string?>("--volatile-cache")
        {
            Description = "Keep what is not flushed in memory alone, up to SIZE for each image, as a drive does; 'paddock fault ... powercut' drops it.", HelpName = "SIZE",
        };
        var faults = new Option<string[]>("--faults") { Description = "A script of faults, run from the start; may be repeated.", HelpName = "FILE" };
        var jsonLog = new Option<bool>("--json-log") { Description = "Write the log as JSON lines." };
        var command = new Command("serve", "Serves images over NVMe/TCP, NBD and vhost-user until it is asked to stop (SIGINT, SIGTERM).")
        {
            images, config, check, nvme, nbd, tls, tlsMode, tlsClients, vhostUser, queues, metrics, control, nqn, hosts, keys, format, readOnly, block,
            connections, memory, idle, drain, cache, faults, jsonLog,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? file = parsed.GetValue(config);
            ServeSettings Settings()
            {
                var given = file is null ? new ServeSettings() : ServeSettings.Load(file);
                string[] allowed = parsed.GetValue(hosts) ?? [];
                return given with
                {
                    Images = [.. (parsed.GetValue(images) ?? []).Select(path => new ServedImage
                    {
                        Path = path, Format = parsed.GetValue(format), ReadOnly = parsed.GetValue(readOnly),
                    }), .. given.Images],
                    Nvme = parsed.GetValue(nvme) ?? given.Nvme,
                    Nbd = parsed.GetValue(nbd) ?? given.Nbd,
                    VhostUser = parsed.GetValue(vhostUser) ?? given.VhostUser,
                    VhostUserQueues = parsed.GetValue(queues) ?? given.VhostUserQueues,
                    NbdTlsCreds = parsed.GetValue(tls) ?? given.NbdTlsCreds,
                    NbdTls = parsed.GetValue(tlsMode) ?? given.NbdTls,
                    NbdTlsClients = parsed.GetValue(tlsClients) ?? given.NbdTlsClients,
                    MaxConnections = parsed.GetValue(connections) ?? given.MaxConnections,
                    MaxMemory = parsed.GetValue(memory) ?? given.MaxMemory,
                    IdleTimeout = parsed.GetValue(idle) ?? given.IdleTimeout,
                    DrainTimeout = parsed.GetValue(drain) ?? given.DrainTimeout,
                    Metrics = parsed.GetValue(metrics) ?? given.Metrics,
                    Control = parsed.GetValue(control) ?? given.Control,
                    Nqn = parsed.GetValue(nqn) ?? given.Nqn,
                    AllowHosts = [.. allowed, .. given.AllowHosts],
                    DhchapKeys = parsed.GetValue(keys) ?? given.DhchapKeys,
                    BlockSize = parsed.GetValue(block) ?? given.BlockSize,
                    VolatileCache = parsed.GetValue(cache) ?? given.VolatileCache,
                    Faults = [.. parsed.GetValue(faults) ?? [], .. given.Faults],
                    JsonLog = parsed.GetValue(jsonLog) || given.JsonLog,
                };
            }

            if (parsed.GetValue(check))
            {
                ServeCheck.Run(Settings(), console);
                return NativeExit.Success;
            }

            await ServeVerb.RunAsync(Settings(), file is null && parsed.GetValue(keys) is null ? null : Settings, console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
