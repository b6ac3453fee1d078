using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2.Snapshots;
using Paddock.Rbd;

namespace Paddock.Compat.Img;

/// <summary><c>convert</c>'s command line, parsed and checked before any file is opened.</summary>
internal sealed class ConvertArguments
{
    private const int Sector = 512, MostSparse = 16 << 20, MostParallel = 16, DefaultSparse = 4096, DefaultParallel = 8;

    private const string JsonProgress = "--progress=json";

    private readonly ImgArguments _given;

    private readonly bool _jsonProgress;

    private ConvertArguments(ImgArguments given, bool jsonProgress) => (_given, _jsonProgress) = (given, jsonProgress);

    /// <summary>The images that are copied one behind the other.</summary>
    public IReadOnlyList<string> Sources => [.. _given.Operands.Take(_given.Operands.Count - 1)];

    public string Source => _given.Operands[0];

    public string Target => _given.Operands[^1];

    /// <summary>Whether the copy goes to standard output.</summary>
    public bool TargetIsStream => Target == StreamNames.Standard && !TargetIsOptions;

    /// <summary>Whether data may be copied by the file system (-C).</summary>
    public bool Offloads => _given.Has("C");

    public string Format => _given["O"] ?? "raw";

    public bool IsCompressed => _given.Has("c");

    /// <summary>The target is there already (-n).</summary>
    public bool SkipsCreate => _given.Has("n");

    public bool TargetIsZero => _given.Has("target-is-zero");

    public bool Salvages => _given.Has("salvage");

    public bool CopiesBitmaps => _given.Has("bitmaps");

    public bool SkipsBrokenBitmaps => _given.Has("skip-broken-bitmaps");

    public bool OutOfOrder => _given.Has("W");

    public bool IsQuiet => _given.Has("q");

    public ProgressForm Progress => IsQuiet ? ProgressForm.None : _jsonProgress ? ProgressForm.Json
        : _given.Has("p") ? ProgressForm.Text : ProgressForm.None;

    public int SparseBytes { get; private init; }

    public int Parallel { get; private init; }

    /// <summary>Bytes in a second; 0: no limit.</summary>
    public long Rate { get; private init; }

    /// <summary>The new image's options, its backing file among them.</summary>
    public CreateOptions Options { get; private init; } = new();

    public bool SourceIsOptions => _given.Has("image-opts") || _given.Has("source-image-opts");

    public bool TargetIsOptions => _given.Has("target-image-opts");

    /// <summary>The internal snapshot to convert (-l); null: the present disk.</summary>
    public SnapshotChoice? Snapshot { get; private init; }

    public OpenSettings SourceSettings => _given.Settings() with { Cache = _given["T"], LoadSnapshot = Snapshot };

    // as the peer does: an interrupted convert leaves nothing of use, so that flushes on the way gain nothing
    public OpenSettings TargetSettings => new()
    {
        ReadOnly = false, Format = TargetIsOptions ? null : Format, Cache = _given["t"] ?? "unsafe", Objects = _given.All("object"),
        Options = TargetIsOptions ? null : EncryptionCreate.Opening(Options),
    };

    /// <returns>Null: help was asked for, and is printed.</returns>
    /// <exception cref="ToolException">An option that cannot be, or two that exclude each other.</exception>
    public static ConvertArguments? Parse(string[] args, ToolContext ctx)
    {
        // our own form of an option that takes no value in the peer
        bool jsonProgress = args.Contains(JsonProgress);
        var given = new ImgArguments(
            [.. args.Where(static a => a != JsonProgress)], "image-opts object progress quiet force-share",
            new('O', "target-format", true), new('o', "target-options", true), new('c', "compress", false), new('t', "target-cache", true),
            new('T', "source-cache", true), new('B', "backing", true), new('F', "backing-format", true), new('n', "no-create", false),
            new('S', "sparse-size", true), new('\0', "target-is-zero", false), new('\0', "bitmaps", false),
            new('\0', "skip-broken-bitmaps", false), new('W', "oob-writes", false), new('m', "parallel", true),
            new('C', "copy-range-offloading", false), new('r', "rate", true), new('\0', "target-image-opts", false),
            new('\0', "source-image-opts", false), new('l', "source-snapshot", true), new('\0', "salvage", false),
            new('f', "source-format", true));
        given.All("o").ToList().ForEach(FormatOptions.RequireList);
        if (given.All("o").Any(KeyValueOptions.AsksForHelp))
        {
            FormatOptions.RequireCreatable(given["O"] ?? "raw");
            FormatOptions.PrintCreate(ctx, given["O"] ?? "raw", given.Operands.Count > 0 ? given.Operands[^1] : null);
            return null;
        }

        var arguments = new ConvertArguments(given, jsonProgress)
        {
            SparseBytes = given["S"] is { } sparse ? Sparse(sparse) : DefaultSparse,
            Parallel = given["m"] is { } parallel ? Count(parallel) : given.Has("salvage") ? 1 : DefaultParallel,
            Rate = given["r"] is { } rate ? RateOf(rate) : 0,
            Options = OptionsOf(given),
            Snapshot = given.Snapshot(ctx.Program),
        };
        arguments.CheckCombinations();
        arguments.CheckSupport();
        return arguments;
    }

    private static int Sparse(string text)
    {
        if (SizeParser.TryParse(text, out ulong value) != NumberFault.None)
        {
            throw new ToolException($"Invalid buffer size for sparse output specified: '{text}'.");
        }

        return value % Sector == 0 && value <= MostSparse ? (int)value
            : throw new ToolException(
                $"Invalid buffer size for sparse output specified. Valid sizes are multiples of {Sector} up to {MostSparse}. "
                + "Select 0 to disable sparse detection (fully allocates output).");
    }

    private static int Count(string text)
        => SizeParser.TryParseInteger(text, out ulong value) != NumberFault.None
            ? throw new ToolException($"Invalid number of coroutines specified: '{text}'.")
            : value is < 1 or > MostParallel
                ? throw new ToolException($"Invalid number of coroutines specified. Must be between 1 and {MostParallel}.") : (int)value;

    /// <summary>Parses a rate in bytes per second.</summary>
    public static long RateOf(string text)
        => SizeParser.TryParse(text, out ulong value) == NumberFault.None && value <= long.MaxValue
            ? (long)value : throw new ToolException($"Invalid rate limit specified: '{text}'.");

    private static CreateOptions OptionsOf(ImgArguments given)
    {
        string format = given["O"] ?? "raw";
        var options = new CreateOptions
        {
            Objects = given.All("object"),
            IsInRbd = given.Operands.Count > 0 && RbdTarget.IsName(given.Operands[^1]),
        };
        NewImage.RequireFormat(format);
        given.All("o").ToList().ForEach(o => options.Add(o, format));
        options["backing_file"] = given["B"];
        options["backing_fmt"] = given["F"];
        return options;
    }

    private void CheckCombinations()
    {
        Refuse(_given.Has("C") && _given.Has("c"), "Cannot enable copy offloading when -c is used");
        Refuse(_given.Has("C") && _given.Has("S"), "Cannot enable copy offloading when -S is used");
        Refuse(_given.Has("C") && Salvages, "Cannot use copy offloading in salvaging mode");
        Refuse(_given.Has("skip-broken-bitmaps") && !_given.Has("bitmaps"), "Use of --skip-broken-bitmaps requires --bitmaps");
        Refuse((SourceIsOptions && _given.Has("f"))
            || (TargetIsOptions && _given.Has("O")), "--image-opts and --format are mutually exclusive");
        Refuse(TargetIsOptions && !SkipsCreate, "--target-image-opts requires use of -n flag");
        Refuse(SkipsCreate && _given.Has("o"), "-o has no effect when skipping image creation");
        Refuse(TargetIsZero && !SkipsCreate, "--target-is-zero requires use of -n flag");
        Refuse(_given.Operands.Count < 2, "Must specify image file name");
        ImageOpener.CheckSourceCache(_given["T"]);
        Refuse(TargetIsZero && _given.Has("B"), "Cannot use --target-is-zero when the destination image has a backing file");
        Refuse(_given.Operands.Count > 2 && Options["backing_file"] is not null,
            "Having a backing file for the target makes no sense when concatenating multiple input images");
        Refuse(Options["backing_file"] is not null && Format != "qcow2", $"Backing file not supported for file format '{Format}'");
        Refuse(_given.Has("B") && !SkipsCreate && Options["backing_fmt"] is null, "Use of backing file requires explicit backing format");
        Refuse(IsCompressed && Format != "qcow2" && !TargetIsOptions, "Compression not supported for this file format");
        Refuse(IsCompressed && Options.IsZoned, "a zoned disk takes no compressed data");
        Refuse(
            IsCompressed
            && Options["preallocation"] is not (null or "off"), "Compression and preallocation not supported at the same time");
        Refuse(
            IsCompressed && (Options["encryption"] == "on" || Options["encrypt.format"] is not null),
            "Compression and encryption not supported at the same time");
        ImageOpener.CheckCache(_given["t"]);
    }

    private void CheckSupport()
    {
        Refuse(TargetIsStream && Format != "raw", $"only a raw image can be written to standard output: use -O raw, not '{Format}'");
        Refuse(TargetIsStream && SkipsCreate, "-n has no meaning for standard output");
        Refuse(_given.Operands.Count > 2 && CopiesBitmaps, "Copying bitmaps only possible with single source");
        Refuse(_given.Operands.Count > 2 && _given.Has("l"), "No support for concatenating multiple snapshot");
    }

    private static void Refuse(bool bad, string message)
    {
        if (bad)
        {
            throw new ToolException(message);
        }
    }
}
