using System.Globalization;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;

namespace Paddock.Compat.Nbd;

/// <summary>Parsed and validated command line of qemu-nbd.</summary>
internal sealed class NbdArguments
{
    private static readonly OptionSpec[] Options =
    [
        new('h', "help", false), new('V', "version", false), new('b', "bind", true), new('p', "port", true), new('k', "socket", true),
        new('o', "offset", true), new('r', "read-only", false), new('A', "allocation-depth", false), new('B', "bitmap", true),
        new('c', "connect", true), new('d', "disconnect", false), new('s', "snapshot", false), new('l', "load-snapshot", true),
        new('n', "nocache", false), new('\0', "cache", true), new('\0', "aio", true), new('\0', "discard", true),
        new('\0', "detect-zeroes", true), new('e', "shared", true), new('f', "format", true), new('t', "persistent", false),
        new('v', "verbose", false), new('\0', "object", true), new('x', "export-name", true), new('D', "description", true),
        new('\0', "tls-creds", true), new('\0', "tls-hostname", true), new('\0', "tls-authz", true), new('\0', "image-opts", false),
        new('T', "trace", true), new('\0', "fork", false), new('\0', "pid-file", true), new('L', "list", false),
        new('\0', "handshake-limit", true), new('\0', "selinux-label", true), new('\0', "resize", false),
        new('\0', "backing", true),
    ];

    private string? _discard;

    private NbdArguments()
    {
    }

    public string? Bind { get; private set; }

    /// <summary>Port or name of a service.</summary>
    public string? Port { get; private set; }

    public string? SocketPath { get; private set; }

    public long Offset { get; private set; }

    public bool ReadOnly { get; private set; }

    public bool AllocationDepth { get; private set; }

    /// <summary>Whether clients may change the size: an option that qemu-nbd does not have.</summary>
    public bool Resize { get; private set; }

    /// <summary>Which backing files the image may name: an option that qemu-nbd does not have.</summary>
    public BackingPolicy Backing { get; private set; } = BackingPolicy.SameDirectory;

    public bool Snapshot { get; private set; }

    public string? Cache { get; private set; }

    public string? Aio { get; private set; }

    public bool Unmap { get; private set; }

    public ZeroDetection DetectZeroes { get; private set; }

    /// <summary>Maximum number of clients; 0: no limit.</summary>
    public int Shared { get; private set; } = 1;

    public string? Format { get; private set; }

    public bool Persistent { get; private set; }

    public bool Verbose { get; private set; }

    public List<string> Objects { get; } = [];

    public string? ExportName { get; private set; }

    public string? Description { get; private set; }

    public string? TlsCreds { get; private set; }

    public string? TlsHostname { get; private set; }

    /// <summary>Object with the names that are served; null for all that TLS accepts.</summary>
    public string? TlsAuthz { get; private set; }

    /// <summary>Kernel device to connect to the image.</summary>
    public string? Connect { get; private set; }

    /// <summary>Whether <see cref="Image"/> is a kernel device to disconnect.</summary>
    public bool Disconnect { get; private set; }

    /// <summary>Internal snapshot to serve: an id or name, or both by <c>snapshot.id=ID,snapshot.name=NAME</c>.</summary>
    public string? LoadSnapshot { get; private set; }

    /// <summary>Bitmaps to offer as contexts.</summary>
    public List<string> Bitmaps { get; } = [];

    /// <summary>SELinux label of the listening socket.</summary>
    public string? SelinuxLabel { get; private set; }

    public bool ImageOpts { get; private set; }

    public bool Fork { get; private set; }

    /// <summary>Whether the command returns once the server is ready: with --fork, and with a kernel device unless -v is set.</summary>
    public bool RunsInBackground => Fork || (Connect is not null && !Verbose);

    public string? PidFile { get; private set; }

    public bool List { get; private set; }

    public int HandshakeSeconds { get; private set; } = 10;

    public bool Help { get; private set; }

    public bool Version { get; private set; }

    /// <summary>The image; null with <see cref="List"/>.</summary>
    public string? Image { get; private set; }

    /// <exception cref="ToolException">An option is invalid, or conflicts with another.</exception>
    public static NbdArguments Parse(string[] args)
    {
        var given = new NbdArguments();
        var parser = new GetOpt(args, Options);
        while (parser.TryNext(out var option))
        {
            given.Take(option);
        }

        if (given.Help || given.Version)
        {
            return given;
        }

        if (given.SocketPath is not null && (given.Bind is not null || given.Port is not null))
        {
            throw new ToolException("-p and -b can not be used together with -k");
        }

        if (given.List)
        {
            return given.CheckList(parser.Operands);
        }

        given.Image = parser.Operands.Count == 1 ? parser.Operands[0] : throw new UsageException("Invalid number of arguments");
        if (given.Disconnect)
        {
            return given;
        }

        given.CheckTls();
        return given.ImageOpts && given.Format is not null ? throw new ToolException("--image-opts and -f are mutually exclusive")
            : given.DetectZeroes == ZeroDetection.Unmap && !given.Unmap
                ? throw new ToolException("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
                : given;
    }

    private NbdArguments CheckList(IReadOnlyList<string> operands)
    {
        bool isPerDevice = ExportName is not null || Description is not null || Offset != 0 || AllocationDepth || Bitmaps.Count > 0
            || LoadSnapshot is not null || Connect is not null || Disconnect;
        if (operands.Count > 0)
        {
            throw new ToolException("List mode is incompatible with a file name");
        }

        CheckTls();
        return isPerDevice ? throw new ToolException("List mode is incompatible with per-device settings")
            : Fork ? throw new ToolException("List mode is incompatible with forking") : this;
    }

    private void CheckTls()
    {
        string? why = TlsCreds is null
            ? TlsAuthz is not null ? "--tls-authz is not permitted without --tls-creds"
                : TlsHostname is not null ? "--tls-hostname is not permitted without --tls-creds" : null
            : Connect is not null ? "TLS is not supported with a host device"
            : TlsAuthz is not null && List ? "TLS authorization is incompatible with export list"
            : TlsHostname is not null && !List ? "TLS hostname is only supported with export list" : null;
        if (why is not null)
        {
            throw new ToolException(why);
        }
    }

    private void Take(ParsedOption option)
    {
        switch (option.Key)
        {
            case "h":
                Help = true;
                break;
            case "V":
                Version = true;
                break;
            case "b":
                Bind = option.Value;
                break;
            case "p":
                Port = option.Value;
                break;
            case "k":
                SocketPath = option.Value.StartsWith('/') ? option.Value : throw new ToolException("socket path must be absolute");
                break;
            case "o":
                Offset = SizeParser.TryParse(option.Value, out ulong offset) == NumberFault.None && offset <= long.MaxValue
                    ? (long)offset : throw new ToolException($"Invalid offset '{option.Value}'");
                break;
            case "e":
                Shared = Number(option.Value, 0, int.MaxValue, $"Invalid shared device number '{option.Value}'");
                break;
            case "handshake-limit":
                HandshakeSeconds = Number(option.Value, 0, 86400, $"Invalid handshake limit '{option.Value}'");
                break;
            case "B":
                Bitmaps.Add(option.Value);
                break;
            case "c":
                Connect = option.Value;
                break;
            case "d":
                Disconnect = true;
                break;
            case "l":
                LoadSnapshot = option.Value;
                ReadOnly = true;
                break;
            case "selinux-label":
                SelinuxLabel = option.Value;
                break;
            case "T":
                NbdTrace.Check(option.Value);
                break;
            case "tls-authz":
                TlsAuthz = option.Value;
                break;
            default:
                TakeSimple(option);
                break;
        }
    }

    private void TakeSimple(ParsedOption option)
    {
        switch (option.Key)
        {
            case "r":
                ReadOnly = true;
                break;
            case "A":
                AllocationDepth = true;
                break;
            case "s":
                Snapshot = true;
                break;
            case "n":
                Cache = Once(Cache, "none", "-n and --cache");
                break;
            case "cache":
                Once(Cache, "", "-n and --cache");
                Cache = ImageOpener.IsCacheMode(option.Value) ? option.Value
                    : throw new ToolException($"Invalid cache mode `{option.Value}'");
                break;
            case "discard":
                _discard = Once(_discard, option.Value, "--discard");
                Unmap = option.Value is "unmap" or "on" || (option.Value is "ignore" or "off"
                    ? false : throw new ToolException($"Invalid discard mode `{option.Value}'"));
                break;
            case "detect-zeroes":
                DetectZeroes = option.Value switch
                {
                    "off" => ZeroDetection.Off,
                    "on" => ZeroDetection.On,
                    "unmap" => ZeroDetection.Unmap,
                    _ => throw new ToolException($"Failed to parse detect_zeroes mode: invalid parameter value: {option.Value}"),
                };
                break;
            case "aio":
                Aio = Once(Aio, option.Value, "--aio");
                _ = option.Value is "native" or "threads" or "io_uring" ? 0
                    : throw new ToolException($"Invalid aio mode '{option.Value}'");
                break;
            case "f":
                Format = option.Value;
                break;
            case "t":
                Persistent = true;
                break;
            case "v":
                Verbose = true;
                break;
            case "object":
                Objects.Add(option.Value);
                break;
            case "tls-creds":
                TlsCreds = option.Value;
                break;
            default:
                TakeName(option);
                break;
        }
    }

    private void TakeName(ParsedOption option)
    {
        switch (option.Key)
        {
            case "x":
                ExportName = option.Value.Length <= 4096 ? option.Value : throw new ToolException($"export name '{option.Value}' too long");
                break;
            case "D":
                Description = option.Value.Length <= 4096 ? option.Value
                    : throw new ToolException($"export description '{option.Value}' too long");
                break;
            case "tls-hostname":
                TlsHostname = option.Value;
                break;
            case "image-opts":
                ImageOpts = true;
                break;
            case "resize":
                Resize = true;
                break;
            case "backing":
                Backing = ImageChain.ParsePolicy(option.Value);
                break;
            case "fork":
                Fork = true;
                break;
            case "pid-file":
                PidFile = option.Value;
                break;
            case "L":
                List = true;
                break;
        }
    }

    private static string Once(string? before, string value, string option)
        => before is null ? value : throw new ToolException(option + " can only be specified once");

    private static int Number(string text, int least, int most, string invalid)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most
            ? value : throw new ToolException(invalid);
}
