using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock run`.</summary>
internal sealed class RunCommand
{
    /// <summary>Help between the options and the examples.</summary>
    public static readonly string[] Details =
    [
        "COMMAND is run while the disks are served. The exit code is that of COMMAND (128 and the number of",
        "a signal that ended it), or 1 if its data could not be made durable. Signals are passed on to it.",
        "The environment of COMMAND has:",
        "",
        "  PADDOCK_URI      name of the disk for clients: nbd+unix://, nbd://, nvme+tcp:// or unix:PATH",
        "  PADDOCK_URIS     the names of all disks, one per line",
        "  PADDOCK_PORT     TCP port",
        "  PADDOCK_SOCKET   Unix socket",
        "  PADDOCK_NQN      NVMe subsystem",
        "  PADDOCK_CONTROL  socket for the verbs fault, resize, snapshot and backup",
        "",
        "With several of --nbd, --nvme, --vhost-user and --vfio-user, PADDOCK_URI is that of the first in",
        "this order; PADDOCK_NBD_URI, _PORT and _SOCKET, PADDOCK_NVME_..., PADDOCK_VHOST_USER_... and",
        "PADDOCK_VFIO_USER_... are those of each.",
        "",
        "These variables are also replaced in the words of COMMAND that contain no blanks. If COMMAND is a",
        "single word with blanks or other special characters, /bin/sh runs it.",
        "",
        "--temporary creates a disk with the options of 'paddock create', and removes it at the end.",
        "",
    ];

    private readonly Argument<string[]> _words = new("IMAGE")
    {
        Description = "Images to serve: files, or rbd:POOL/IMAGE.", Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<bool> _nbd = ServerOptions.Flag("--nbd", "Serves NBD, on a Unix socket in a private directory.");

    private readonly Option<bool> _tcp = ServerOptions.Flag("--tcp", "Serves NBD on a free TCP port of 127.0.0.1.");

    private readonly Option<bool> _nvme = ServerOptions.Flag("--nvme", "Serves NVMe/TCP, on a free port of 127.0.0.1.");

    private readonly Option<bool> _vhostUser = ServerOptions.Flag(
        "--vhost-user", "Serves vhost-user, on a Unix socket in a private directory.");

    private readonly Option<bool> _vfioUser = ServerOptions.Flag(
        "--vfio-user", "Serves an NVMe drive on a guest's PCI bus, on a private Unix socket.");

    private readonly Option<string?> _temporary = ServerOptions.Text(
        "--temporary", "SIZE", "Creates a disk of this size, removed at the end.");

    private readonly Option<bool> _exitWithParent = ServerOptions.Flag(
        "--exit-with-parent", "Terminates the command when the process that started this one ends.");

    private readonly NewDiskOptions _disk = new();
    private readonly ServerOptions _server = new();
    private readonly NativeConsole _console;

    private RunCommand(NativeConsole console) => _console = console;

    public static Command Build(NativeConsole console)
    {
        var run = new RunCommand(console);
        var command = new Command("run", "Serves images while a command runs, which follows '--'.")
        {
            run._words, run._nbd, run._tcp, run._nvme, run._vhostUser, run._vfioUser, run._temporary, run._exitWithParent,
        };
        run._disk.AddTo(command);
        run._server.AddTo(command);
        command.SetAction(run.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string[] words = CaptiveWords.CommandOf(parsed), images = CaptiveWords.ArgumentsOf(parsed, _words);
        Check(parsed, images, words);
        using var folder = TemporaryFolder.Create("paddock-run-");
        if (parsed.GetValue(_temporary) is { } size)
        {
            images = [folder["disk.qcow2"]];
            await NewDiskOptions.CreateAsync(images[0], _disk.Read(parsed, "--temporary", size, TextWriter.Null), cancellationToken);
        }

        var settings = _server.Over(new ServeSettings(), parsed);
        settings = settings with
        {
            Images = [.. images.Select(path => _server.ImageOf(path, parsed))],
            Nvme = parsed.GetValue(_nvme) ? "127.0.0.1:0" : null,
            Nbd = parsed.GetValue(_tcp) ? "127.0.0.1:0" : parsed.GetValue(_nbd) ? "unix:" + folder["nbd.sock"] : null,
            VhostUser = !parsed.GetValue(_vhostUser) ? null : images.Length == 1 ? folder["vhost-user.sock"] : folder.Path,
            VfioUser = parsed.GetValue(_vfioUser) ? [folder["vfio-user.sock"]] : [],
            Control = settings.Control ?? folder["control.sock"],
        };
        return await RunVerb.RunAsync(
            settings, words, list: null, report: null, parsed.GetValue(_exitWithParent), _console, cancellationToken);
    }

    private void Check(ParseResult parsed, string[] images, string[] words)
    {
        if (words.Length == 0)
        {
            throw Misuse("specify a command after '--', such as: paddock run disk.qcow2 --nbd -- nbdinfo '$PADDOCK_URI'");
        }

        if (!new[] { _nbd, _tcp, _nvme, _vhostUser, _vfioUser }.Any(parsed.GetValue))
        {
            throw Misuse("specify what is served: --nbd, --tcp, --nvme, --vhost-user or --vfio-user");
        }

        bool isTemporary = parsed.GetValue(_temporary) is not null;
        if (isTemporary == images.Length > 0)
        {
            throw Misuse(isTemporary ? $"--temporary creates the disk: leave out IMAGE ('{images[0]}')"
                : "specify an IMAGE, or a size with --temporary");
        }

        if (!isTemporary && _disk.FirstGiven(parsed) is { } option)
        {
            throw Misuse($"{option} requires --temporary: it is an option of a new disk");
        }
    }

    private static ToolException Misuse(string message) => new(message, NativeExit.Usage);
}
