using Paddock.Block;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Tools;

/// <summary>Builds the graph of an image from a file name, a <c>json:</c> name or an option list.</summary>
/// <param name="context">Takes warnings.</param>
public sealed class ImageOpener(ToolContext context)
{
    private const int MaxChain = 200;

    private static readonly string[] CacheModes = ["none", "off", "writeback", "unsafe", "writethrough", "directsync"];
    private static readonly string[] HarmlessOptions =
        ["locking", "aio", "node-name", "cache.direct", "cache.no-flush", "cache.writeback", "discard", "detect-zeroes", "read-only", "auto-read-only"];

    private static readonly string[] RawOptions = ["size", "offset"];

    /// <summary>Opens an image for a command; failures say <c>Could not open 'NAME'</c> first.</summary>
    /// <param name="name">File name, or, with <paramref name="imageOpts"/>, an option list.</param>
    /// <param name="settings">How.</param>
    /// <param name="imageOpts">Whether the name is an option list.</param>
    public async ValueTask<ImageNode> OpenAsync(string name, OpenSettings settings, bool imageOpts = false)
    {
        CheckCache(settings.Cache);
        try
        {
            return await OpenBareAsync(name, settings, imageOpts);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"Could not open '{name}': {MessageOf(e)}");
        }
    }

    /// <summary>Opens an image for a caller that says itself what could not be opened.</summary>
    /// <param name="name">File name, or, with <paramref name="imageOpts"/>, an option list.</param>
    /// <param name="settings">How.</param>
    /// <param name="imageOpts">Whether the name is an option list.</param>
    public async ValueTask<ImageNode> OpenBareAsync(string name, OpenSettings settings, bool imageOpts = false)
    {
        if (!imageOpts)
        {
            return await OpenNodeAsync(name, settings, 0);
        }

        var options = KeyValueOptions.ParseToDict(name);
        return options.Count == 1 && (options[name] as string) == "on"
            ? throw new ToolException($"Cannot find device='{name}' nor node-name='{name}'")
            : await OpenNodeAsync(null, settings with { Options = options }, 0);
    }

    /// <summary>Opens a file's bytes.</summary>
    public static IStorage OpenFile(string path, bool readOnly, bool forceShare = false, bool create = false)
    {
        try
        {
            return FileStorage.Open(new FileOpenOptions
            {
                Path = path,
                ReadOnly = readOnly,
                Create = create,
                Truncate = create,
                Lock = forceShare ? ImageLock.ForceShare : readOnly ? ImageLock.ReadShared : ImageLock.Write,
            });
        }
        catch (ImageLockedException e)
        {
            throw new ToolException($"{e.Message}\n{e.Hint}");
        }
        catch (BlockException e) when (e.Error == BlockError.IsDirectory)
        {
            throw new ToolException($"'file' driver requires '{path}' to be a regular file");
        }
        catch (BlockException e)
        {
            throw new ToolException($"Could not {(create ? "create" : "open")} '{path}': {ErrorText.Of(e)}");
        }
    }

    /// <summary>Refuses a cache mode that there is not.</summary>
    public static void CheckCache(string? mode)
    {
        if (mode is not null && !IsCacheMode(mode))
        {
            throw new ToolException($"Invalid cache option: {mode}");
        }
    }

    /// <summary>Whether there is such a cache mode.</summary>
    public static bool IsCacheMode(string mode) => CacheModes.Contains(mode);

    /// <summary>Whether a cache mode goes past the page cache.</summary>
    public static bool IsDirect(string? mode) => mode is "none" or "off" or "directsync";

    /// <summary>The path of a name: <c>file:</c> is taken off, another protocol is refused.</summary>
    public static string PathOf(string name)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        return colon < 0 || (slash >= 0 && slash < colon) ? name
            : name[..colon] == "file" ? Plain(name[5..])
            : throw new ToolException($"Unknown protocol '{name[..colon]}'");
    }

    // a path that would be taken for PROTOCOL:REST, were it given alone
    private static string Plain(string path)
    {
        int colon = path.IndexOf(':', StringComparison.Ordinal);
        int slash = path.IndexOf('/', StringComparison.Ordinal);
        return colon < 0 || (slash >= 0 && slash < colon) ? path : "./" + path;
    }

    /// <summary>What a failure says to people; an error of the system in its own words.</summary>
    public static string MessageOf(Exception e) => e.Message;

    internal async ValueTask<ImageNode> OpenNodeAsync(string? name, OpenSettings settings, int depth)
    {
        var options = settings.Options?.Clone() ?? new QDict();
        if (name is not null && name.StartsWith("json:", StringComparison.Ordinal))
        {
            options = ParseJson(name);
            name = null;
        }

        if (settings is { ForceShare: true, ReadOnly: false })
        {
            throw new ToolException("force-share=on can only be used with read-only images");
        }

        string? driver = options.Take("driver") as string ?? settings.Format;
        if (driver is not (null or "raw" or "qcow2" or "file"))
        {
            throw new ToolException($"Unknown driver '{driver}'");
        }

        string path = name is not null ? PathOf(name) : TakePath(options, driver);
        var storage = OpenFile(path, settings.ReadOnly, settings.ForceShare);
        try
        {
            bool probed = driver is null;
            driver ??= await Qcow2Image.ProbeAsync(storage) ? "qcow2" : "raw";
            if (probed && driver == "raw" && !settings.ReadOnly)
            {
                WarnProbedRaw(name ?? path);
            }

            return driver == "qcow2"
                ? await OpenQcow2Async(path, storage, settings, options, depth)
                : OpenRaw(path, storage, settings, options);
        }
        catch
        {
            await storage.DisposeAsync();
            throw;
        }
    }

    private static QDict ParseJson(string name)
    {
        try
        {
            return (JsonReader.Parse(name[5..]) as QDict ?? throw new UsageException("Invalid JSON object given")).Flatten();
        }
        catch (ToolException e) when (e is not UsageException)
        {
            throw new ToolException("Could not parse the JSON options: " + e.Message);
        }
    }

    private static string TakePath(QDict options, string? driver)
    {
        var file = driver == "file" ? options : options.TakePrefix("file");
        string? path = file.Take("filename") as string;
        string protocol = file.Take("driver") as string ?? "file";
        foreach (string harmless in HarmlessOptions)
        {
            file.Take(harmless);
        }

        return protocol != "file" ? throw new ToolException($"Unknown driver '{protocol}'")
            : path is null ? throw new ToolException("A block device must be specified for \"file\"")
            : PathOf(path);
    }

    private static ImageNode OpenRaw(string path, IStorage storage, OpenSettings settings, QDict options)
    {
        foreach (string harmless in HarmlessOptions)
        {
            options.Take(harmless);
        }

        if (options.InOrder.FirstOrDefault(o => !RawOptions.Contains(o.Key)).Key is { } unknown)
        {
            throw new ToolException($"Block format 'raw' does not support the option '{unknown}'");
        }

        return options.Count != 0
            ? throw new ToolException("raw images with an offset or a size are not supported yet")
            : new ImageNode
            {
                Driver = "raw",
                Filename = path,
                Storage = storage,
                Device = CheckedBlockDevice.Wrap(new RawDevice(storage, settings.ReadOnly)),
            };
    }

    private async ValueTask<ImageNode> OpenQcow2Async(string path, IStorage storage, OpenSettings settings, QDict options, int depth)
    {
        bool noBacking = settings.NoBacking || (options.Contains("backing") && options.Take("backing") is null or "");
        var backing = options.TakePrefix("backing");
        var gate = new BackingGate(this, settings with { Options = backing }, depth);
        var open = Qcow2Options.Apply(options, new Qcow2OpenOptions
        {
            ReadOnly = settings.ReadOnly,
            ForCheck = settings.ForCheck,
            NoBacking = noBacking,
            Gate = gate,
        });
        var image = await Qcow2Image.OpenAsync(storage, open);
        foreach (string warning in image.Warnings)
        {
            context.Warn(warning);
        }

        return new ImageNode
        {
            Driver = "qcow2",
            Filename = path,
            Storage = storage,
            Qcow2 = image,
            Device = CheckedBlockDevice.Wrap(image),
            Backing = gate.Opened,
        };
    }

    private void WarnProbedRaw(string name)
    {
        const string Indent = "         ";
        context.Error.Write(
            $"WARNING: Image format was not specified for '{name}' and probing guessed raw.\n"
            + Indent + "Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
            + Indent + "Specify the 'raw' format explicitly to remove the restrictions.\n");
        context.Error.Flush();
    }

    /// <summary>Opens the backing image that an overlay names, relative to the overlay.</summary>
    private sealed class BackingGate(ImageOpener opener, OpenSettings overlay, int depth) : IImageGate
    {
        public ImageNode? Opened { get; private set; }

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlayStorage, CancellationToken cancellationToken)
        {
            if (depth >= MaxChain)
            {
                throw new BlockException(BlockError.InvalidArgument, $"a chain of more than {MaxChain} backing files");
            }

            var options = overlay.Options is { Count: > 0 } given ? given : null;
            string? path = options?.Contains("file.filename") == true ? null : BackingName.Resolve(name, overlayStorage.Name);
            try
            {
                Opened = await opener.OpenNodeAsync(
                    path,
                    new OpenSettings { Format = format, ForceShare = overlay.ForceShare, Options = options },
                    depth + 1);
                return Opened.Device;
            }
            catch (ToolException e)
            {
                throw new BlockException(BlockError.NotFound, "Could not open backing file: " + e.Message, e);
            }
        }
    }
}
