using System.Globalization;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>Builds the graph of an image from a file name, a <c>json:</c> name or an option list.</summary>
internal sealed class ImageOpener
{
    /// <summary>
    /// Past the page cache and without flushes: <c>cache.direct=on,cache.no-flush=on</c>, which has no name for <c>-t</c>.
    /// </summary>
    public const string DirectUnsafe = "cache.direct,cache.no-flush";

    private const string Null = "null-co";

    private static readonly string[] CacheModes = ["none", "off", "writeback", "unsafe", "writethrough", "directsync"];
    private static readonly string[] RawOptions = ["size", "offset"];

    private readonly IOpenMessages _messages;

    /// <param name="program">What warnings begin with.</param>
    /// <param name="messages">Takes warnings and what the engine reports.</param>
    public ImageOpener(string program, TextWriter messages)
        : this(new TextMessages(program, messages)) => MarkBitmaps = true;

    /// <param name="messages">Takes warnings and what the engine reports.</param>
    internal ImageOpener(IOpenMessages messages) => _messages = messages;

    /// <summary>Which backing files images may name.</summary>
    public BackingPolicy Backing { get; init; }

    /// <summary>
    /// Whether bitmaps are marked in use when an image is opened for writing, as QEMU's tools do, not at its first change.
    /// </summary>
    public bool MarkBitmaps { get; init; }

    /// <summary>Name of the option that sets <see cref="Backing"/>, for messages.</summary>
    internal string BackingOption { get; init; } = "--backing";

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
        catch (Exception e) when (e is BlockException or (ToolException and not BaseNotWritableException))
        {
            throw new ToolException($"Could not open '{EscapedText.Escape(name)}': {MessageOf(e)}", inner: e);
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
    public static IStorage OpenFile(string path, bool readOnly, bool forceShare = false, bool create = false, bool direct = false)
        => OpenStored(path, readOnly, forceShare, create, direct);

    public static FileStorage OpenStored(
        string path, bool readOnly, bool forceShare = false, bool create = false, bool direct = false, Action<FileFacts>? admit = null)
    {
        var options = new FileOpenOptions
        {
            Path = path,
            ReadOnly = readOnly,
            Create = create,
            DirectIo = direct,
            Admit = admit,
            Lock = forceShare ? ImageLock.ForceShare : readOnly ? ImageLock.ReadShared : ImageLock.Write,
        };
        try
        {
            return FileStorage.Open(options);
        }
        catch (BlockException e) when (direct && e.Error == BlockError.NotSupported)
        {
            // where there is no direct I/O the page cache serves: slower to be durable, but the same bytes
            return OpenStored(path, readOnly, forceShare, create, admit: admit);
        }
        catch (ImageLockedException e)
        {
            throw new ToolException($"{e.Message}\n{e.Hint}", inner: e);
        }
        catch (BlockException e) when (e.Error == BlockError.IsDirectory || e is WrongFileTypeException)
        {
            throw new ToolException($"'file' driver requires '{path}' to be a regular file", inner: e);
        }
        catch (BlockException e) when (e.Errno != 0)
        {
            throw new ToolException($"Could not {(create ? "create" : "open")} '{path}': {ErrorText.Of(e)}", inner: e);
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

    /// <summary>The same for the image that is read.</summary>
    public static void CheckSourceCache(string? mode)
    {
        if (mode is not null && !IsCacheMode(mode))
        {
            throw new ToolException($"Invalid source cache option: {mode}");
        }
    }

    /// <summary>Whether there is such a cache mode.</summary>
    public static bool IsCacheMode(string mode) => CacheModes.Contains(mode);

    /// <summary>Whether a cache mode goes past the page cache.</summary>
    public static bool IsDirect(string? mode) => mode is "none" or "off" or "directsync" or DirectUnsafe;

    /// <summary>Whether a cache mode leaves out flushes.</summary>
    public static bool IsUnsafe(string? mode) => mode is "unsafe" or DirectUnsafe;

    /// <summary>Whether each change is durable when it completes.</summary>
    public static bool IsWriteThrough(string? mode) => mode is "writethrough" or "directsync";

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

    public async ValueTask<ImageNode> OpenNodeAsync(string? name, OpenSettings settings, int depth)
    {
        var options = settings.Options?.Clone() ?? new QDict();
        if (name is not null && name.StartsWith("json:", StringComparison.Ordinal))
        {
            options = ParseJson(name);
            name = null;
            settings = settings with { AreOptionsStored = settings.Admit is not null };
        }

        if (settings is { ForceShare: true, ReadOnly: false })
        {
            throw new ToolException("force-share=on can only be used with read-only images");
        }

        string? driver = options.Take("driver") as string ?? settings.Format;
        if (driver is not (null or "raw" or "qcow2" or "file" or Null or NbdNode.Driver or NvmeName.Driver or BlkdebugNode.Driver))
        {
            throw new ToolException($"Unknown driver '{driver}'");
        }

        settings = NodeOptions.ApplyCommon(options, settings) with { Chain = settings.Chain ?? new ImageChain(Backing, BackingOption) };
        settings.Chain.Begin();
        if (await NvmeNode.TryOpenAsync(name, options, driver, settings) is { } remote)
        {
            return remote;
        }

        if (settings.StorageFacts is { } facts)
        {
            settings.Chain.Enter(facts);
        }

        var (path, storage) = settings.Storage is { } given ? (name!, given)
            : await OpenBytesAsync(name, options, driver, settings, depth);
        var faults = storage as FaultStorage;
        try
        {
            bool probed = driver is null;
            driver ??= await FormatProbe.DetectReadableAsync(storage);
            bool isGuess = probed && driver == FormatProbe.Raw && !settings.ReadOnly && storage is not NullStorage;
            if (isGuess)
            {
                _messages.GuessedRaw(name ?? path);
            }

            string protocol = storage switch { NullStorage => Null, NbdStorage => NbdNode.Driver, FaultStorage => BlkdebugNode.Driver,
                _ => "file" };
            if (settings.Over is { } over && protocol == "file")
            {
                storage = over(storage);
            }

            if (IsUnsafe(settings.Cache))
            {
                storage = new WindowStorage(storage, flushes: false);
            }

            var node = driver == "qcow2"
                ? await OpenQcow2Async(path, storage, settings, options, depth)
                : OpenRaw(path, storage, settings, options, driver is Null or NbdNode.Driver or BlkdebugNode.Driver ? driver
                : "raw", protocol, isGuess);
            node.Faults = faults;
            return node;
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

    /// <summary>Opens the bytes that a name or options lead to.</summary>
    internal static async ValueTask<(string Path, IStorage Storage)> OpenBytesAsync(
        string? name, QDict options, string? driver, OpenSettings settings, int depth)
    {
        if (BlkdebugNode.Find(name, options, driver, settings) is not { } debug)
        {
            return await NbdNode.TryOpenAsync(name, options, driver, settings) ?? OpenStorage(name, options, driver, settings);
        }

        ImageChain.CheckDepth(depth + 1);
        var (path, below) = await OpenBytesAsync(debug.Image, debug.ImageOptions, null, settings, depth + 1);
        return (debug.Name ?? path, new FaultStorage(below, debug.Rules, debug.Alignment));
    }

    private static (string Path, IStorage Storage) OpenStorage(string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (name is not null && name != Null + "://")
        {
            string path = PathOf(name);
            return (path, OpenFile(path, settings));
        }

        string given = JsonText.Compact(driver is null ? options : options.Clone().With("driver", driver));
        var file = name is not null || driver is "file" or Null ? options : options.TakePrefix("file");
        bool isGiven = file.Count > 0;
        NodeOptions.TakeFile(file, settings);

        string protocol = file.Take("driver") as string ?? (name is not null || driver == Null ? Null : "file");
        if (protocol == Null)
        {
            return (name ?? "json:" + given, OpenNull(file, settings.ReadOnly));
        }

        if (protocol != "file")
        {
            throw new ToolException($"Unknown driver '{protocol}'");
        }

        if (file.Take("filename") is not string named)
        {
            throw new ToolException(
                isGiven ? "The 'file' block driver requires a file name" : "A block device must be specified for \"file\"");
        }

        return file.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol 'file' doesn't support the option '{unknown}'")
            : (PathOf(named), OpenFile(PathOf(named), settings));
    }

    private static FileStorage OpenFile(string path, OpenSettings settings)
    {
        var file = OpenStored(path, settings.ReadOnly, settings.ForceShare, direct: IsDirect(settings.Cache), admit: settings.Admit);
        try
        {
            if (settings.Admit is null)
            {
                settings.Chain?.Enter(file.Facts);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static NullStorage OpenNull(QDict options, bool readOnly)
    {
        long size = options.Take("size") is { } s ? Size("size", s) : NullStorage.DefaultSize;
        bool zeroes = options.Take("read-zeroes") is { } z && (z is true || Qcow2Options.Flag("read-zeroes", z as string ?? ""));
        options.Take("latency-ns");
        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Null}' doesn't support the option '{unknown}'")
            : new NullStorage(size, zeroes, readOnly);
    }

    private static long Size(string name, object? value)
        => (long)Math.Min(SizeParser.Option(name, Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""), long.MaxValue);

    private static ImageNode OpenRaw(
        string path, IStorage storage, OpenSettings settings, QDict options, string driver, string protocol, bool isGuess)
    {
        NodeOptions.TakeFile(options, settings);

        if (options.InOrder.FirstOrDefault(o => !RawOptions.Contains(o.Key)).Key is { } unknown)
        {
            throw new ToolException($"Block format 'raw' does not support the option '{unknown}'");
        }

        long start = options["offset"] is { } o ? Size("offset", o) : 0;
        var device = RawOver(storage, settings, start, options);
        return new ImageNode
        {
            Driver = driver,
            Filename = path,
            Storage = storage,
            Protocol = protocol,
            Device = Cached(CheckedDevice.Wrap(isGuess ? new ProbedRawDevice(device) : device), settings),
            IsGuess = isGuess,
        };
    }

    private static IBlockDevice RawOver(IStorage storage, OpenSettings settings, long start, QDict options)
    {
        var window = Window(storage, start, options);

        // a remote disk whose bytes are the image's own takes the requests as they are
        return window is NbdStorage remote && (!settings.ReadOnly || remote.IsReadOnly)
            ? remote.Disk : new RawDevice(window, settings.ReadOnly, start);
    }

    private static IStorage Window(IStorage storage, long start, QDict options)
    {
        long length = storage.Length;
        long? size = options.Take("size") is { } s ? Size("size", s) : null;
        if (start > length)
        {
            throw new ToolException($"Offset ({start}) cannot be greater than size of the containing file ({length})");
        }

        if (size is { } given && given > length - start)
        {
            throw new ToolException($"The sum of offset ({start}) and size ({given}) has to be smaller or equal to the "
                + $" actual size of the containing file ({length})");
        }

        return size is { } bytes && bytes % 512 != 0 ? throw new ToolException("Specified size is not multiple of 512")
            : start == 0 && size is null ? storage : new WindowStorage(storage, start, size);
    }

    private static IBlockDevice Cached(IBlockDevice device, OpenSettings settings)
        => !settings.ReadOnly && IsWriteThrough(settings.Cache) ? CheckedDevice.Wrap(new CacheDevice(CheckedDevice.Unwrap(device)))
            : device;

    private async ValueTask<ImageNode> OpenQcow2Async(string path, IStorage storage, OpenSettings settings, QDict options, int depth)
    {
        bool isCut = IsBackingCut(options, settings);
        bool noBacking = settings.NoBacking || isCut;
        var backing = options.TakePrefix("backing");
        var gate = new BackingGate(this, settings with { Options = backing, Storage = null, StorageFacts = null }, depth);
        NodeOptions.TakeGeneric(options, settings);
        var dataFile = await DataFileNode.TryOpenAsync(options, settings, depth);
        try
        {
            return await OpenQcow2Async(path, storage, dataFile, settings, options, noBacking, gate, depth);
        }
        catch when (dataFile is not null)
        {
            await dataFile.DisposeAsync();
            throw;
        }
    }

    private async ValueTask<ImageNode> OpenQcow2Async(
        string path, IStorage storage, IStorage? dataFile, OpenSettings settings, QDict options, bool noBacking, BackingGate gate,
        int depth)
    {
        var open = Qcow2Options.Apply(options, new Qcow2OpenOptions
        {
            ReadOnly = settings.ReadOnly,
            ForCheck = settings.ForCheck,
            ForInfo = settings.ForInfo,
            NoBacking = noBacking,
            Gate = gate,
            DataFile = dataFile,
            DataFileGate = new DataFileNode(settings),
            KeepFreedSpace = settings.KeepFreedSpace,
            MarkBitmaps = MarkBitmaps,
            OnRepair = _messages.Repaired,
            OnCorruption = settings.ReadOnly ? _messages.FoundCorrupt : _messages.Corrupted,
            Tables = settings.Chain!.Tables,
            L2CacheBytes = ImageChain.L2CacheOf(depth),
        });
        var image = await Qcow2Image.OpenAsync(storage, open, settings.Stop);
        foreach (string warning in image.Warnings)
        {
            _messages.Warn(warning);
        }

        return new ImageNode
        {
            Driver = "qcow2",
            Filename = path,
            Storage = storage,
            Qcow2 = image,
            Device = Cached(image, settings),
            Backing = gate.Opened,
        };
    }

    // "backing": null ends the chain at this image; an empty name is the older way to say it
    private bool IsBackingCut(QDict options, OpenSettings settings)
    {
        if (!options.Contains("backing") || (settings is { NoBacking: true, ForCheck: false } && options["backing"] is not (null or "")))
        {
            return false;
        }

        object? node = options.Take("backing");
        if (node is "")
        {
            _messages.Warn("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
        }

        return node is null or "" ? true
            : throw new ToolException($"Could not open backing file: Cannot find device='{node}' nor node-name='{node}'");
    }

    // an image that can be read is refused because it is to be written
    private static bool CanBeRead(string path)
    {
        try
        {
            OpenStored(PathOf(path), readOnly: true).Dispose();
            return true;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            return false;
        }
    }

    /// <summary>Opens the backing image that an overlay names, relative to the overlay.</summary>
    private sealed class BackingGate(ImageOpener opener, OpenSettings overlay, int depth) : IImageGate
    {
        public ImageNode? Opened { get; private set; }

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlayStorage, CancellationToken cancellationToken)
        {
            try
            {
                return await OpenStoredAsync(name, format, overlayStorage);
            }
            catch (BlockException e) when (
                name.StartsWith("json:", StringComparison.Ordinal) || EscapedText.Escape(name + format) != name + format)
            {
                // a part of the name is in the message, and must not make lines of its own there
                throw new BlockException(e.Error, EscapedText.Escape(e.Message), e) { Errno = e.Errno };
            }
        }

        private async ValueTask<IBlockDevice?> OpenStoredAsync(string name, string? format, IStorage overlayStorage)
        {
            ImageChain.CheckDepth(depth + 1);
            var options = overlay.Options is { Count: > 0 } given ? given : null;
            bool isReplaced = options?.InOrder.Any(static o => o.Key.StartsWith("file.", StringComparison.Ordinal)
                || (o.Key == "driver" && o.Value is not ("raw" or "qcow2"))) == true;
            bool isTyped = isReplaced && !overlay.AreOptionsStored;
            bool isBase = overlay.Base?.Matches(name, overlayStorage.Name) == true;
            var settings = new OpenSettings
            {
                ReadOnly = !isBase,
                Base = isBase ? null : overlay.Base,
                Format = format,
                ForceShare = overlay.ForceShare,
                Options = options,
                AreOptionsStored = overlay.AreOptionsStored,
                Cache = overlay.Cache,
                Chain = overlay.Chain,
                Stop = overlay.Stop,
                Admit = isTyped ? null : overlay.Chain!.Admit(name, format),
                Objects = isTyped ? overlay.Objects : [],
            };
            string path = BackingName.Resolve(name, overlayStorage.Name);
            try
            {
                Opened = await opener.OpenNodeAsync(isReplaced ? null : path, settings, depth + 1);
                if (isBase)
                {
                    overlay.Base!.Found = Opened;
                }

                return Opened.Device;
            }
            catch (ToolException e) when (e is not BaseNotWritableException)
            {
                if (isBase && e.InnerException is BlockException && CanBeRead(path))
                {
                    throw new BaseNotWritableException(e.Message, e);
                }

                throw new BlockException(BlockError.NotFound, "Could not open backing file: " + e.Message, e);
            }
        }
    }
}
