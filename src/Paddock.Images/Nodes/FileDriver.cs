using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Posix;

namespace Paddock.Images.Nodes;

/// <summary>The drivers file, host_device and host_cdrom: bytes of a regular file or of a device.</summary>
/// <param name="name">Which of them.</param>
/// <param name="isImplied">Whether the kind of the file decides, because no driver is named.</param>
internal sealed class FileDriver(string name, bool isImplied = false) : NodeDriver(name, NodeKind.Protocol)
{
    private const string FileName = "file", DeviceName = "host_device";
    private static readonly string[] OnOffAuto = ["on", "off", "auto"];

    /// <summary>A node over bytes that are open already.</summary>
    public static ImageNode NodeOf(IStorage storage, string name, OpenSettings settings)
    {
        if (settings.StorageFacts is { } facts)
        {
            settings.Chain!.Enter(facts);
        }

        return NodeOver(storage, name);
    }

    /// <summary>A node over bytes that belong to an image already.</summary>
    public static ImageNode NodeOver(IStorage storage, string name) => new()
    {
        Driver = "file",
        Storage = storage,
        IsProtocol = true,
        PlainName = name,
        Filename = name,
        FullOptions = new QDict().With("driver", "file").With("filename", name),
    };

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options) => options["filename"] = ImageOpener.PathOf(filename);

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var (options, settings) = (opening.Options, opening.Settings);
        bool isLocked = TakeLocking(options);
        NodeOptions.CheckAio(NodeOptions.Text(options.Take("aio")), settings.Cache);
        TakeHints(options);
        if (NodeOptions.Text(options.Take("pr-manager")) is { } manager)
        {
            throw new ToolException($"No persistent reservation manager with id '{manager}'");
        }

        if (NodeOptions.Text(options.Take("filename")) is not { } path)
        {
            throw new ToolException($"The '{Name}' block driver requires a file name");
        }

        NodeOpener.RefuseUnknown(this, options);
        var file = Open(ImageOpener.PathOf(path), settings, isLocked);
        IStorage storage = ImageOpener.IsUnsafe(settings.Cache) ? new WindowStorage(file, flushes: false) : file;
        return new(new ImageNode { Driver = file.IsBlockDevice ? DeviceName : Name, Storage = storage });
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged) => node.FullOptions["filename"] as string;

    private FileStorage Open(string path, OpenSettings settings, bool isLocked)
    {
        var file = Open(path, settings, isLocked, settings.ReadOnly);
        try
        {
            if (!isImplied && file.IsDevice == (Name == FileName))
            {
                throw WrongKind(path);
            }

            if (settings.Admit is null)
            {
                settings.Chain?.EnterTyped(file.Facts);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private FileStorage Open(string path, OpenSettings settings, bool isLocked, bool readOnly)
    {
        var access = !isLocked ? ImageLock.None : settings.ForceShare ? ImageLock.ForceShare : readOnly ? ImageLock.ReadShared
            : ImageLock.Write;
        try
        {
            return ImageOpener.OpenStored(path, readOnly, access, direct: ImageOpener.IsDirect(settings.Cache), admit: settings.Admit);
        }
        catch (ToolException e) when (readOnly && e.InnerException is BlockException { Error: BlockError.IsDirectory })
        {
            throw WrongKind(path);
        }
        catch (ToolException e) when (
            settings.AutoReadOnly && !readOnly
            && e.InnerException is BlockException { Error: BlockError.NotPermitted or BlockError.ReadOnly })
        {
            // its purpose requires writing
            throw new ToolException("Block node is read-only", inner: e);
        }
    }

    private ToolException WrongKind(string path)
        => new($"'{Name}' driver requires '{path}' to be {(Name == FileName ? "a regular file" : "either a character or block device")}");

    private static bool TakeLocking(QDict options)
        => NodeOptions.Text(options.Take("locking")) is not { } locking
            || (OnOffAuto.Contains(locking) ? locking != "off" : throw new ToolException($"invalid parameter value: {locking}"));

    // they tune how QEMU does its I/O, and never change what is read or written
    private static void TakeHints(QDict options)
    {
        NodeOptions.Flag(options, "drop-cache");
        NodeOptions.Flag(options, "x-check-cache-dropped");
        if (NodeOptions.Text(options.Take("aio-max-batch")) is { } batch
            && SizeParser.TryParseInteger(batch, out _) != NumberFault.None)
        {
            throw new ToolException("Parameter 'aio-max-batch' expects a number");
        }
    }
}
