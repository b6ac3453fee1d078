using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Images;

/// <summary>Builds the graph of an image from a file name, a <c>json:</c> name or an option list.</summary>
internal sealed class ImageOpener
{
    /// <summary>
    /// Past the page cache and without flushes: <c>cache.direct=on,cache.no-flush=on</c>, which has no name for <c>-t</c>.
    /// </summary>
    public const string DirectUnsafe = "cache.direct,cache.no-flush";

    private static readonly string[] CacheModes = ["none", "off", "writeback", "unsafe", "writethrough", "directsync"];

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

    /// <summary>Whether images in RBD share clients of the cluster (<see cref="OpenSettings.SharesConnections"/>).</summary>
    internal bool SharesConnections { get; init; }

    /// <summary>Name of the option that sets <see cref="Backing"/>, for messages.</summary>
    internal string BackingOption { get; init; } = "--backing";

    /// <summary>Whether the policy for the same directory accepts names that are absolute paths into it.</summary>
    internal bool AcceptsOwnPaths { get; init; }

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
        catch (SnapshotLoadException e)
        {
            throw new ToolException($"Failed to load snapshot: {MessageOf(e)}", inner: e);
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
            return await OpenNodeAsync(name, settings);
        }

        var options = KeyValueOptions.ParseToDict(name);
        return options.Count == 1 && (options[name] as string) == "on"
            ? throw new ToolException($"Cannot find device='{name}' nor node-name='{name}'")
            : await OpenNodeAsync(null, settings with { Options = options });
    }

    /// <summary>Reopens an image with its previous options.</summary>
    /// <param name="name">Its name; null if the settings' options alone describe it.</param>
    /// <param name="settings">How.</param>
    public ValueTask<ImageNode> OpenAgainAsync(string? name, OpenSettings settings) => OpenNodeAsync(name, settings);

    /// <summary>Opens a file's bytes.</summary>
    public static IStorage OpenFile(string path, bool readOnly, bool forceShare = false, bool create = false, bool direct = false)
        => OpenStored(path, readOnly, forceShare, create, direct);

    /// <summary>Opens a file's bytes; failures are in the words of QEMU.</summary>
    public static FileStorage OpenStored(
        string path, bool readOnly, bool forceShare = false, bool create = false, bool direct = false, Action<FileFacts>? admit = null)
        => OpenStored(
            path, readOnly, forceShare ? ImageLock.ForceShare : readOnly ? ImageLock.ReadShared : ImageLock.Write, create, direct, admit);

    /// <summary>Opens a file's bytes with a lock; failures are in the words of QEMU.</summary>
    public static FileStorage OpenStored(
        string path, bool readOnly, ImageLock access, bool create = false, bool direct = false, Action<FileFacts>? admit = null)
    {
        var options = new FileOpenOptions
        {
            Path = path,
            ReadOnly = readOnly,
            Create = create,
            DirectIo = direct,
            Admit = admit,
            Lock = access,
        };
        try
        {
            return FileStorage.Open(options);
        }
        catch (BlockException e) when (direct && e.Error == BlockError.NotSupported)
        {
            // where there is no direct I/O the page cache serves: slower to be durable, but the same bytes
            return OpenStored(path, readOnly, access, create, admit: admit);
        }
        catch (ImageLockedException e)
        {
            throw new ToolException($"{e.Message}\n{e.Hint}", inner: e);
        }
        catch (BlockException e) when ((readOnly && e.Error == BlockError.IsDirectory) || e is WrongFileTypeException)
        {
            throw new ToolException(
                create && e.Error == BlockError.IsDirectory ? $"Could not create '{path}': Is a directory"
                    : $"'file' driver requires '{path}' to be a regular file", inner: e);
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

    /// <summary>Opens a node with everything below it, by a name or by the settings' options.</summary>
    private async ValueTask<ImageNode> OpenNodeAsync(string? name, OpenSettings settings)
    {
        var options = settings.Options?.Clone() ?? new QDict();
        settings = settings with
        {
            Chain = settings.Chain ?? new ImageChain(Backing, BackingOption, AcceptsOwnPaths),
            SharesConnections = settings.SharesConnections || SharesConnections,
        };
        var node = await new NodeOpener(this, _messages).OpenAsync(name, options, settings, depth: 0, isProtocol: false);
        try
        {
            _ = settings.LoadSnapshot is null || node.Qcow2 is not null ? true : throw new SnapshotLoadException(
                BlockError.NotSupported,
                $"Block format '{node.Driver}' used by device '' does not support temporarily loading internal snapshots");
            RootNode.Finish(node, settings);
            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }
}
