using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Server;
using Paddock.Server.Web;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock serve`.</summary>
internal static class ServeCommand
{
    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "ADDRESS is HOST:PORT, PORT (on 127.0.0.1) or unix:PATH. --nbd-tls is required or allowed;",
        "--nbd-tls-clients is required or none. POLICY is one of none, same-directory and any.",
        "",
        "--vhost-user with several images creates a socket NAME.sock for each of them in the directory.",
        "Unsealed guest memory can be truncated by its owner, which would terminate the server.",
        "",
        "--vfio-user: all namespaces of the subsystem NQN, which may be left out if there is only one, as an",
        "NVMe controller of QEMU 10.1 or later; the virtual machine needs memory that is shared (share=on).",
        "Several sockets of a subsystem are several controllers. With trapped doorbells, the server is told",
        "of each write; mapped doorbells are written by the guest directly, and the server must poll them.",
        "",
        "--dhchap-keys: one 'HOSTNQN KEY [CONTROLLERKEY]' per line, readable by the owner only. Environment",
        "variables PADDOCK_DHCHAP_SECRET and PADDOCK_DHCHAP_CTRL_SECRET hold the keys of all other hosts.",
        "",
        "--web serves a live page for browsers, and its API: anyone who can connect sees the disks. With",
        "--web-control, those who have the token in --web-token-file may also change zones.",
        "",
        "--namespace-dir: NVMe hosts create images there, of --namespace-quota in all, and delete them; a",
        "restarted server finds them again. Without it, hosts cannot create or delete namespaces. A host that",
        "may format a namespace may erase it: --nvme-format false rejects that.",
        "",
        "--standby: an image that another process owns is not an error: the server listens, but fails",
        "requests to it, and takes it over when its owner releases it ('paddock handover', or its end) or",
        "is dead. NVMe hosts that are connected to both servers continue. Start every server of an image",
        "with --standby, and with a --node of its own.",
        "",
        "--trace-file: open it at ui.perfetto.dev. The trace ends at --trace-size.",
        "",
        "--idle-timeout: by default, idle NBD clients are disconnected only if another client needs the slot.",
        "",
        "When clients can connect, the server prints the names of the disks, the 'nvme connect' command, and",
        "for vfio-user the QEMU command line.",
        "--port-file has the ports of NVMe, NBD, metrics and web, in this order.",
        "",
        "SIGINT and SIGTERM stop the server. SIGHUP reloads the configuration file, keys and certificates; if",
        "none of them is given, it stops the server as well.",
        "",
    ];

    public static Command Serve(NativeConsole console)
    {
        var options = new ServeOptions();
        var command = new Command(
            "serve",
            "Serves images over NVMe/TCP, NBD, vhost-user and vfio-user.");
        options.AddTo(command);
        var json = new Option<bool>("--json") { Description = "With --check-config: prints what would be served as JSON." };
        command.Add(json);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(json) && !options.IsCheck(parsed))
            {
                throw new ToolException("--json requires --check-config; --json-log writes the log as JSON", NativeExit.Usage);
            }

            var settings = options.SettingsOf(parsed);
            if (options.IsCheck(parsed))
            {
                WebCheck.Validate(settings, ServiceManager.None, WebBuild.Part);
                ServeCheck.Run(settings, parsed.GetValue(json) ? TextWriter.Null : console.Out);
                if (parsed.GetValue(json))
                {
                    console.Out.WriteLine(ServeCheckFields.Of(settings));
                }

                return NativeExit.Success;
            }

            Func<ServeSettings>? reload = options.HasFiles(parsed) ? () => options.SettingsOf(parsed) : null;
            using var report = options.Process.ReportOf(parsed);
            var process = new ServeProcess(report, reload, options.Process.ExitsWithParent(parsed), ServeProcess.NamesOf);
            return await ServeVerb.RunAsync(settings, process, console, cancellationToken)
                ? NativeExit.Success : NativeExit.Failure;
        });
        return command;
    }
}
