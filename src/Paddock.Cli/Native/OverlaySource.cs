using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>An image that overlays are made of; open while they are.</summary>
internal sealed class OverlaySource : IAsyncDisposable
{
    private readonly ImageNode _node;
    private readonly string _image;
    private readonly ReadOnlyMemory<byte>? _passphrase;
    private readonly ZoneClone? _zones;

    private OverlaySource(ImageNode node, string image, ReadOnlyMemory<byte>? passphrase, ZoneClone? zones)
    {
        _node = node;
        _image = image;
        _passphrase = passphrase;
        _zones = zones;
    }

    /// <summary>Number of zones; null: none.</summary>
    public int? Zones => _zones?.Count;

    /// <summary>Its format.</summary>
    public string Format => _node.Driver;

    /// <summary>The bytes under the image.</summary>
    public IStorage Storage
    {
        get
        {
            var storage = _node.Storage;
            while (storage is DelegatingStorage { Inner: var inner })
            {
                storage = inner;
            }

            return storage;
        }
    }

    /// <summary>Opens the image, read-only.</summary>
    /// <param name="opener">Opens images.</param>
    /// <param name="image">A qcow2 or raw image; it must not be written while it has overlays.</param>
    /// <param name="format">Its format; null: recognized, which only a qcow2 image allows.</param>
    /// <param name="passphrase">Its passphrase, if it is encrypted; the overlays are then encrypted with it too.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ToolException">It cannot be opened, or its format must be named.</exception>
    public static async ValueTask<OverlaySource> OpenAsync(
        ImageOpener opener, string image, string? format, ReadOnlyMemory<byte>? passphrase, CancellationToken cancellationToken)
    {
        var settings = new OpenSettings { Format = format, Stop = cancellationToken, Passphrase = passphrase };
        var node = await OpenNodeAsync(opener, image, settings);
        try
        {
            if (format is null && node.Qcow2 is null)
            {
                throw new ToolException($"'{image}' was recognized as {node.Driver}; name its format with --format {node.Driver}");
            }

            return new OverlaySource(node, image, passphrase, await ZoneClone.OfAsync(node, cancellationToken));
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Creates an overlay; on failure no file is left behind.</summary>
    /// <param name="name">The new file; it must not exist.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <returns>Its properties.</returns>
    public async ValueTask<Qcow2CreateOptions> CreateAsync(string name, CancellationToken cancellationToken)
    {
        var options = new Qcow2CreateOptions
        {
            Size = _node.Device.Length,
            ClusterSize = _node.Qcow2?.Info.ClusterSize ?? new Qcow2CreateOptions().ClusterSize,
            BackingFile = NameFor(_image, name),
            BackingFormat = _node.Driver,
            Encryption = LikeEncryption.Of(_node, _passphrase),
        };
        options = _zones?.Apply(options) ?? options;
        await WriteAsync(name, options, _zones, cancellationToken);
        return options;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _node.DisposeAsync();

    private static async ValueTask<ImageNode> OpenNodeAsync(ImageOpener opener, string image, OpenSettings settings)
    {
        try
        {
            return await opener.OpenAsync(image, settings);
        }
        catch (ToolException e) when (e.GetBaseException() is PassphraseRequiredException required)
        {
            throw new ToolException($"'{image}': {required.Message} (--passphrase-file)");
        }
    }

    // relative to the overlay's folder where both are in it, so that they can be moved together
    private static string NameFor(string image, string name)
    {
        if (BackingName.HasProtocol(image))
        {
            return image;
        }

        string full = Path.GetFullPath(image), folder = Path.GetDirectoryName(Path.GetFullPath(name)) ?? "/";
        return Path.GetDirectoryName(full) == folder && !RbdTarget.IsName(name) ? Path.GetFileName(full) : full;
    }

    private static async ValueTask WriteAsync(
        string name, Qcow2CreateOptions options, ZoneClone? zones, CancellationToken cancellationToken)
    {
        var storage = await MakeAsync(name);
        try
        {
            await Qcow2Image.CreateAsync(storage, options, cancellationToken);
            if (zones is not null)
            {
                await zones.FinishAsync(storage, options, cancellationToken);
            }

            await storage.DisposeAsync();
        }
        catch
        {
            await storage.DisposeAsync();
            await RemoteStorage.RemoveAsync(name);
            throw;
        }
    }

    private static async ValueTask<IStorage> MakeAsync(string name)
    {
        if (!RbdTarget.IsName(name))
        {
            return FileIdentity.IsTaken(name) ? throw Exists(name)
                : NativeImage.OpenFile(new FileOpenOptions { Path = name, Create = true, Lock = ImageLock.Write });
        }

        try
        {
            return await RemoteStorage.CreateRbdAsync(name, 0, sharesConnection: true);
        }
        catch (BlockException e) when (e.Error == BlockError.AlreadyExists)
        {
            throw Exists(name);
        }
    }

    private static ToolException Exists(string name) => new($"'{name}' exists; choose another name");
}
