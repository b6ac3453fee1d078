using System.CommandLine;
using Paddock.Tools;
using Paddock.Tools.Native;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock serve` and `paddock fault`.</summary>
internal static class ServeCommand
{
    public static Command Serve(NativeConsole console)
    {
        var images = new Argument<string[]>("IMAGE") { Description = "Images to serve.", Arity = ArgumentArity.ZeroOrMore };
        var config = new Option<string?>("--config") { Description = "A JSON file with the same settings; flags go before it.", HelpName = "FILE" };
        var nvme = new Option<string?>("--nvme") { Description = "Listen for NVMe/TCP.", HelpName = "HOST:PORT" };
        var nbd = new Option<string?>("--nbd") { Description = "Listen for NBD.", HelpName = "HOST:PORT|unix:PATH" };
        var vhostUser = new Option<string?>("--vhost-user")
        {
            Description = "Unix socket for a virtual machine (vhost-user-blk); several images: a folder for one socket each, NAME.sock.", HelpName = "PATH",
        };
        var queues = new Option<int?>("--vhost-user-queues") { Description = "Queues of a vhost-user disk (default 4).", HelpName = "N" };
        var metrics = new Option<string?>("--metrics") { Description = "Serve Prometheus metrics at /metrics.", HelpName = "HOST:PORT" };
        var control = new Option<string?>("--control") { Description = "Unix socket for 'paddock fault'.", HelpName = "PATH" };
        var nqn = new Option<string?>("--nqn") { Description = "Qualified name of the NVMe subsystem.", HelpName = "NQN" };
        var hosts = new Option<string[]>("--allow-host") { Description = "Qualified name of a host that may connect; may be repeated.", HelpName = "NQN" };
        var format = new Option<string?>("--format") { Description = "Format of the images; probed unless given.", HelpName = "qcow2|raw" };
        var readOnly = new Option<bool>("--read-only") { Description = "Take no writes." };
        var block = new Option<int?>("--block-size") { Description = "Bytes of an NVMe logical block: 512 (default) or 4096.", HelpName = "BYTES" };
        var jsonLog = new Option<bool>("--json-log") { Description = "Write the log as JSON lines." };
        var command = new Command("serve", "Serves images over NVMe/TCP, NBD and vhost-user until it is asked to stop (SIGINT, SIGTERM).")
        {
            images, config, nvme, nbd, vhostUser, queues, metrics, control, nqn, hosts, format, readOnly, block, jsonLog,
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
                    Metrics = parsed.GetValue(metrics) ?? given.Metrics,
                    Control = parsed.GetValue(control) ?? given.Control,
                    Nqn = parsed.GetValue(nqn) ?? given.Nqn,
                    AllowHosts = [.. allowed, .. given.AllowHosts],
                    BlockSize = parsed.GetValue(block) ?? given.BlockSize,
                    JsonLog = parsed.GetValue(jsonLog) || given.JsonLog,
                };
            }

            await ServeVerb.RunAsync(Settings(), file is null ? null : Settings, console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Fault(NativeConsole console)
    {
        var socket = new Argument<string>("SOCKET") { Description = "The server's control socket (serve --control)." };
        var what = new Argument<string[]>("WHAT")
        {
            Description = "fail, delay, clear, drop, readonly, offline or restore, with ns=N, nqn=NQN, command=read|write|flush|append|zone|report, nth=N, "
                + "count=N (0: for good), status=HEX, ms=N, zone=N. No image keeps conditions of zones yet: readonly, offline and restore are refused.",
            Arity = ArgumentArity.OneOrMore,
        };
        var command = new Command("fault", "Makes a running server fail, delay or drop, to test the software above it.") { socket, what };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await FaultVerb.RunAsync(parsed.GetRequiredValue(socket), string.Join(' ', parsed.GetRequiredValue(what)), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
