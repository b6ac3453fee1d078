using System.CommandLine;
using System.CommandLine.Parsing;
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
        "GOLDEN may be an image in Ceph, rbd:POOL/IMAGE[@SNAPSHOT]. Overlays are then files in --dir, or",
        "images in --pool. With --clone the drives are RBD clones of a snapshot of GOLDEN, which may be",
        "written afterwards. With --part K/N, server K of N serves its share of the --count drives, which",
        "have the same numbers everywhere; --plan prints the command of each server, and where each drive",
        "will be.",
        "",
        "The drives are listed when clients can connect, and removed when the server stops (--keep with",
        "--dir, --pool or --clone keeps them). After '--', a command: the server ends with it, as for",
        "'paddock run'. It finds the list as JSON in the file $PADDOCK_LIST, and the first drive in the",
        "variables of 'paddock run'.",
        "",
    ];

    private const int MaxCount = 10_000, MaxOfAllServers = 1_000_000, ConnectionsOfDrive = 8, MostConnections = 65536;

    private const string TemporaryName = "drive.qcow2";

    private readonly Argument<string[]> _words = new("GOLDEN")
    {
        Description = "Image of all drives: a file, or rbd:POOL/IMAGE.", Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<int?> _count = ServerOptions.Number("--count", "N", "Number of drives, of all servers together.");

    private readonly Option<string?> _part = ServerOptions.Text("--part", "K/N", "This is server K of N (default: 1/1).");

    private readonly Option<string?> _plan = ServerOptions.Text(
        "--plan", "HOST[:PORT],...", "Prints the commands of these servers and their drives; serves nothing.");

    private readonly Option<string?> _temporary = ServerOptions.Text(
        "--temporary", "SIZE", "Creates empty drives of this size instead.");

    private readonly Option<string?> _nvme = ServerOptions.Text(
        "--nvme", "HOST:PORT", "Address for NVMe/TCP (default: 127.0.0.1:0, a free port).");

    private readonly Option<string?> _nbd = ServerOptions.Text("--nbd", "ADDRESS", "Address for NBD, in addition (default: not served).");

    private readonly Option<string?> _dir = ServerOptions.Text("--dir", "DIR", "Directory for the overlays (default: a temporary one).");

    private readonly Option<string?> _pool = ServerOptions.Text("--pool", "POOL", "Pool[/namespace] of Ceph for the drives.");

    private readonly Option<bool> _clone = ServerOptions.Flag("--clone", "Makes RBD clones of GOLDEN, in its pool or --pool.");

    private readonly Option<bool> _keep = ServerOptions.Flag("--keep", "Keeps the drives in --dir, --pool or --clone.");

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
            farm._words, farm._count, farm._part, farm._plan, farm._temporary, farm._nvme, farm._nbd, farm._dir, farm._pool, farm._clone,
            farm._keep, farm._json,
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
        if (parsed.GetValue(_plan) is { } servers)
        {
            return ShowPlan(parsed, FarmServer.ParseAll(servers), images, count);
        }

        var part = parsed.GetValue(_part) is { } text ? FarmPart.Parse(text) : FarmPart.All;
        CheckShare(part, count);
        using var report = _process.ReportOf(parsed);
        using var folder = TemporaryFolder.Create("paddock-farm-");
        var golden = new FarmGolden(
            images.FirstOrDefault() ?? folder[TemporaryName], _server.FormatOf(parsed), _server.PassphraseOf(parsed),
            _server.Over(new ServeSettings(), parsed).Backing);
        if (parsed.GetValue(_temporary) is { } size)
        {
            await NewDiskOptions.CreateAsync(golden.Name, _disk.Read(parsed, "--temporary", size, TextWriter.Null), cancellationToken);
        }

        FarmDrives.CheckOpenFiles(part.Count(count), FilesOf(parsed, golden));
        golden.NameConfiguration();
        await using var drives = new FarmDrives(PlaceOf(parsed, golden, folder), parsed.GetValue(_keep), _console);
        await MakeAsync(parsed, drives, golden, part, count, cancellationToken);
        var settings = SettingsOf(parsed, drives, golden.Stem, part.First(count), folder);
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

    private int ShowPlan(ParseResult parsed, FarmServer[] servers, string[] images, int count)
    {
        if (CaptiveWords.CommandOf(parsed).Length > 0 || parsed.GetValue(_part) is not null || parsed.GetValue(_nvme) is not null)
        {
            throw Misuse(
                "--plan chooses --part and --nvme for each server, and serves nothing: leave them out, and the command after '--'");
        }

        var golden = new FarmGolden(images.FirstOrDefault() ?? TemporaryName, null, null, new ServeSettings().Backing);
        if (IsInPool(parsed))
        {
            PlaceInPool(parsed, golden);
        }

        // the first has the fewest drives, the last the most
        CheckShare(new FarmPart(1, servers.Length), count);
        CheckShare(new FarmPart(servers.Length, servers.Length), count);
        string nqn = NqnOf(_server.Over(new ServeSettings(), parsed), golden.Stem);
        var plan = new FarmPlan(servers, count, golden.Stem, nqn, WordsOf(parsed));
        var lines = parsed.GetValue(_json) ? JsonText.ReadableLines(plan.Json()).Split('\n') : plan.Lines();
        foreach (string line in lines)
        {
            _console.Out.WriteLine(line);
        }

        return NativeExit.Success;
    }

    // what was typed, without --plan and --json
    private List<string> WordsOf(ParseResult parsed)
    {
        var words = new List<string>();
        for (int i = 0; i < parsed.Tokens.Count; i++)
        {
            var token = parsed.Tokens[i];
            if (token.Type == TokenType.Option && token.Value == _plan.Name)
            {
                i++;
            }
            else if (token.Type is not (TokenType.Command or TokenType.DoubleDash)
                && !(token.Type == TokenType.Option && token.Value == _json.Name))
            {
                words.Add(token.Value);
            }
        }

        return words;
    }

    private static string NqnOf(ServeSettings settings, string stem) => settings.Nqn ?? PaddockServer.DefaultNqn + stem;

    private bool IsClone(ParseResult parsed) => parsed.GetValue(_clone);

    private bool IsInPool(ParseResult parsed) => IsClone(parsed) || parsed.GetValue(_pool) is not null;

    // an image in RBD is no file, and its clients are shared
    private int FilesOf(ParseResult parsed, FarmGolden golden) => (IsInPool(parsed) ? 0 : 1) + (golden.InRbd is null ? 1 : 0);

    private IDrivePlace PlaceOf(ParseResult parsed, FarmGolden golden, TemporaryFolder folder)
        => IsInPool(parsed) ? PlaceInPool(parsed, golden) : new FolderPlace(parsed.GetValue(_dir) ?? folder["overlays"]);

    private PoolPlace PlaceInPool(ParseResult parsed, FarmGolden golden)
        => new(golden.InRbd ?? throw Misuse(
                $"--{(IsClone(parsed) ? "clone" : "pool")} requires a GOLDEN image in RBD, such as rbd:pool/golden: '{golden.Name}' is a "
                + "file ('paddock img convert' copies it there)"), parsed.GetValue(_pool));

    // the maker is done when the drives are: clones need no snapshot that can be seen
    private async Task MakeAsync(
        ParseResult parsed, FarmDrives drives, FarmGolden golden, FarmPart part, int count, CancellationToken cancellationToken)
    {
        await using IDriveMaker maker = IsClone(parsed) ? await CloneMaker.OpenAsync(golden, _console, cancellationToken)
            : await OverlayMaker.OpenAsync(golden, _console, cancellationToken);
        await drives.MakeAsync(maker, golden.Stem, part.First(count), part.Count(count), cancellationToken);
    }

    private ServeSettings SettingsOf(ParseResult parsed, FarmDrives drives, string stem, int first, TemporaryFolder folder)
    {
        var settings = _server.Over(
            new ServeSettings { MaxConnections = Math.Clamp(drives.Names.Count * ConnectionsOfDrive, 256, MostConnections) }, parsed);
        string nqn = NqnOf(settings, stem);
        return settings with
        {
            Images = [.. drives.Names.Select((name, i) => _server.ImageOf(name, parsed) with
            {
                Format = drives.Format,
                Nqn = string.Create(CultureInfo.InvariantCulture, $"{nqn}-{first + i}"),
                Export = string.Create(CultureInfo.InvariantCulture, $"{stem}-{first + i}"),
            })],
            Nvme = parsed.GetValue(_nvme) ?? "127.0.0.1:0",
            Nbd = parsed.GetValue(_nbd),
            Control = settings.Control ?? folder["control.sock"],

            // the names in the drives are ours; those in GOLDEN have been checked
            Backing = "any",
        };
    }

    private static void CheckShare(FarmPart part, int count)
    {
        if (part.Count(count) is 0 or > MaxCount)
        {
            throw Misuse(
                $"server {part.Number} of {part.Servers} has {part.Count(count)} of the {count} drives (--count); expected 1 to "
                + $"{MaxCount}");
        }
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

        if (parsed.GetValue(_keep) && ((parsed.GetValue(_dir) is null && !IsInPool(parsed)) || isTemporary))
        {
            throw Misuse(
                isTemporary ? "--keep requires a GOLDEN image: a temporary one is removed" : "--keep requires --dir, --pool or --clone");
        }

        if (parsed.GetValue(_dir) is not null && IsInPool(parsed))
        {
            throw Misuse("--dir is for drives in files, and --pool and --clone for drives in Ceph: choose one");
        }

        int most = parsed.GetValue(_part) is null && parsed.GetValue(_plan) is null ? MaxCount : MaxOfAllServers;
        return parsed.GetValue(_count) is >= 1 and var count && count <= most ? count
            : throw Misuse(parsed.GetValue(_count) is { } given ? $"--count {given}: expected 1 to {most}"
                : "specify the number of drives with --count");
    }

    private static ToolException Misuse(string message) => new(message, NativeExit.Usage);
}
