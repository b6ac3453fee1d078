using System.CommandLine;
using System.Globalization;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock farm`.</summary>
internal sealed class FarmCommand
{
    /// <summary>Help between the options and the examples.</summary>
    public static readonly string[] Details =
    [
        "Each drive is an overlay of GOLDEN with the same zones and data, and an NVMe subsystem of its own:",
        "NQN-1 to NQN-N (--nqn; by default from the name of GOLDEN). NBD exports have the same numbers.",
        "GOLDEN is not changed, and must not be written meanwhile.",
        "",
        "The drives are listed when clients can connect, and removed when the server stops (--keep with",
        "--dir keeps them). After '--', a command: the server ends with it, as for 'paddock run'. It finds",
        "the list as JSON in the file $PADDOCK_LIST, and the first drive in the variables of 'paddock run'.",
        "",
    ];

    private const int MaxCount = 10_000, ConnectionsOfDrive = 8, MostConnections = 65536;

    private readonly Argument<string[]> _words = new("GOLDEN") { Description = "Image of all drives.", Arity = ArgumentArity.ZeroOrMore };

    private readonly Option<int?> _count = ServerOptions.Number("--count", "N", "Number of drives.");

    private readonly Option<string?> _temporary = ServerOptions.Text(
        "--temporary", "SIZE", "Creates empty drives of this size instead.");

    private readonly Option<string?> _nvme = ServerOptions.Text(
        "--nvme", "HOST:PORT", "Address for NVMe/TCP (default: 127.0.0.1:0, a free port).");

    private readonly Option<string?> _nbd = ServerOptions.Text("--nbd", "ADDRESS", "Address for NBD, in addition (default: not served).");

    private readonly Option<string?> _dir = ServerOptions.Text("--dir", "DIR", "Directory for the overlays (default: a temporary one).");

    private readonly Option<bool> _keep = ServerOptions.Flag("--keep", "Keeps the overlays in --dir.");

    private readonly Option<bool> _json = JsonOption.Create();

    private readonly NewDiskOptions _disk = new();
    private readonly ServerOptions _server = new();
    private readonly ProcessOptions _process = new();
    private readonly NativeConsole _console;

    private FarmCommand(NativeConsole console) => _console = console;

    public static Command Build(NativeConsole console)
    {
        var farm = new FarmCommand(console);
        var command = new Command("farm", "Serves many drives alike, made of one image.")
        {
            farm._words, farm._count, farm._temporary, farm._nvme, farm._nbd, farm._dir, farm._keep, farm._json,
        };
        farm._disk.AddTo(command);
        farm._server.AddTo(command);
        farm._process.AddTo(command);
        command.SetAction(farm.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string[] words = CaptiveWords.CommandOf(parsed), images = CaptiveWords.ArgumentsOf(parsed, _words);
        int count = Check(parsed, images);
        FarmOverlays.CheckOpenFiles(count);
        using var report = _process.ReportOf(parsed);
        using var folder = TemporaryFolder.Create("paddock-farm-");
        string golden = images.FirstOrDefault() ?? folder["drive.qcow2"];
        if (parsed.GetValue(_temporary) is { } size)
        {
            await NewDiskOptions.CreateAsync(golden, _disk.Read(parsed, "--temporary", size, TextWriter.Null), cancellationToken);
        }

        using var overlays = FarmOverlays.In(parsed.GetValue(_dir) ?? folder["overlays"], parsed.GetValue(_keep));
        string stem = Path.GetFileNameWithoutExtension(golden);
        await overlays.CreateAsync(
            golden, stem, count, _server.FormatOf(parsed), _server.PassphraseOf(parsed),
            _server.Over(new ServeSettings(), parsed).Backing, _console, cancellationToken);
        var settings = SettingsOf(parsed, overlays.Paths, stem, folder);
        if (words.Length > 0)
        {
            return await RunVerb.RunAsync(
                settings, words, folder["list.json"], report, _process.ExitsWithParent(parsed), _console, cancellationToken);
        }

        bool json = parsed.GetValue(_json);
        var process = new ServeProcess(
            report, null, _process.ExitsWithParent(parsed),
            server => json ? JsonText.ReadableLines(FarmList.Of(server.Endpoints)).Split('\n') : FarmList.LinesOf(server.Endpoints),
            LogLevel.Warning);
        return await ServeVerb.RunAsync(settings, process, _console, cancellationToken) ? NativeExit.Success : NativeExit.Failure;
    }

    private ServeSettings SettingsOf(ParseResult parsed, IReadOnlyList<string> paths, string stem, TemporaryFolder folder)
    {
        var settings = _server.Over(
            new ServeSettings { MaxConnections = Math.Clamp(paths.Count * ConnectionsOfDrive, 256, MostConnections) }, parsed);
        string nqn = settings.Nqn ?? PaddockServer.DefaultNqn + stem;
        return settings with
        {
            Images = [.. paths.Select((path, i) => _server.ImageOf(path, parsed) with
            {
                Format = "qcow2",
                Nqn = string.Create(CultureInfo.InvariantCulture, $"{nqn}-{i + 1}"),
                Export = Path.GetFileNameWithoutExtension(path),
            })],
            Nvme = parsed.GetValue(_nvme) ?? "127.0.0.1:0",
            Nbd = parsed.GetValue(_nbd),
            Control = settings.Control ?? folder["control.sock"],

            // the names in the overlays are ours; those in GOLDEN have been checked
            Backing = "any",
        };
    }

    private int Check(ParseResult parsed, string[] images)
    {
        bool isTemporary = parsed.GetValue(_temporary) is not null;
        if (isTemporary == images.Length > 0 || images.Length > 1)
        {
            throw Misuse(isTemporary ? $"--temporary creates the drives: leave out GOLDEN ('{images[0]}')"
                : images.Length > 1 ? $"unexpected argument '{images[1]}': a farm has one GOLDEN image"
                : "specify a GOLDEN image, or a size with --temporary");
        }

        if (!isTemporary && _disk.FirstGiven(parsed) is { } option)
        {
            throw Misuse($"{option} requires --temporary: it is an option of new drives");
        }

        if (parsed.GetValue(_keep) && (parsed.GetValue(_dir) is null || isTemporary))
        {
            throw Misuse(isTemporary ? "--keep requires a GOLDEN image: a temporary one is removed" : "--keep requires --dir");
        }

        return parsed.GetValue(_count) is >= 1 and <= MaxCount and var count ? count
            : throw Misuse(parsed.GetValue(_count) is { } given ? $"--count {given}: expected 1 to {MaxCount}"
                : "specify the number of drives with --count");
    }

    private static ToolException Misuse(string message) => new(message, NativeExit.Usage);
}
