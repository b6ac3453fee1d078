using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>Opens image files for the native commands, which support only qcow2.</summary>
internal static class NativeImage
{
    /// <summary>Opens an image; warnings go to standard error.</summary>
    /// <param name="path">The file.</param>
    /// <param name="writable">Whether the command changes it.</param>
    /// <param name="console">Receives warnings.</param>
    /// <param name="cancellationToken">Cancels opening.</param>
    /// <param name="forInfo">Whether only the header is needed.</param>
    /// <param name="passphrase">Passphrase of encrypted images; null: none.</param>
    /// <param name="forceShare">Whether to read the image even if another process writes to it.</param>
    public static async ValueTask<IQcow2Device> OpenAsync(
        string path, bool writable, NativeConsole console, CancellationToken cancellationToken, bool forInfo = false,
        ReadOnlyMemory<byte>? passphrase = null, bool forceShare = false)
        => await OpenAsync(
            await OpenStorageAsync(path, writable, forceShare), path, writable, console, forInfo, passphrase, cancellationToken);

    /// <summary>Opens the bytes of an image: a file, or an image in RBD.</summary>
    /// <exception cref="ToolException">Another process uses the image; the message names it and the remedy.</exception>
    /// <exception cref="BlockException">They cannot be opened.</exception>
    public static async ValueTask<IStorage> OpenStorageAsync(string path, bool writable, bool forceShare = false)
        => RbdTarget.IsName(path) ? await RbdDriver.OpenAsync(RbdDriver.Parse(path), readOnly: !writable)
            : OpenFile(path, writable, forceShare);

    /// <summary>Opens the image in a file that is open already, which is closed if that fails.</summary>
    public static async ValueTask<IQcow2Device> OpenAsync(
        IStorage storage, string path, bool writable, NativeConsole console, bool forInfo, ReadOnlyMemory<byte>? passphrase,
        CancellationToken cancellationToken)
    {
        IQcow2Device device;
        int repaired = 0;
        try
        {
            if (await FormatProbe.DetectAsync(storage, cancellationToken) is not FormatProbe.Qcow2 and var format)
            {
                throw new ToolException(
                    format == FormatProbe.Raw
                    ? $"'{path}' is not a qcow2 image; create one with 'paddock create', or convert it with 'paddock img convert -O qcow2'"
                        : $"'{path}' is a {format} image; this command needs a qcow2 image");
            }

            var names = new StoredNames(storage, passphrase, console);
            device = await Qcow2Image.OpenAsync(
                storage,
                new Qcow2OpenOptions
                {
                    ReadOnly = !writable, NoBacking = !writable, Gate = names, DataFileGate = names, ForInfo = forInfo,
                    Passphrase = passphrase,
                    OnRepair = _ => repaired++,
                    OnCorruption = message => console.Tell($"'{path}' is corrupt and was set read-only: {message}"),
                },
                cancellationToken);
        }
        catch (PassphraseRequiredException e)
        {
            await storage.DisposeAsync();
            throw new ToolException($"'{path}': {e.Message} (--passphrase-file)");
        }
        catch (BlockException e) when (!e.Message.Contains(path, StringComparison.Ordinal))
        {
            await storage.DisposeAsync();
            throw new ToolException($"'{path}': {e.Message}");
        }
        catch
        {
            await storage.DisposeAsync();
            throw;
        }

        if (repaired > 0)
        {
            console.Tell($"'{path}' was not closed cleanly; its reference counts were repaired");
        }

        foreach (string warning in device.Warnings)
        {
            console.Tell($"warning: {warning}");
        }

        return device;
    }

    /// <summary>
    /// Opens what an image names: its data file, and the backing image of an overlay that is written, since a part of a cluster needs the
    /// rest of it. The names have no more rights than in 'paddock img'.
    /// </summary>
    private sealed class StoredNames : IImageGate, IDataFileGate
    {
        private readonly ImageChain _chain = new(BackingPolicy.Any);
        private readonly ReadOnlyMemory<byte>? _passphrase;
        private readonly NativeConsole _console;

        public StoredNames(IStorage image, ReadOnlyMemory<byte>? passphrase, NativeConsole console)
        {
            if (image is FileStorage file)
            {
                _chain.EnterTyped(file.Facts);
            }
            else if (image is RbdStorage { Image.Target.ConfigurationFile: { } configuration })
            {
                _chain.AdmitConfiguration(configuration, isStored: false);
            }

            _passphrase = passphrase;
            _console = console;
        }

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            try
            {
                var settings = new OpenSettings
                {
                    Format = format,
                    Stop = cancellationToken,
                    Chain = _chain,
                    Admit = _chain.Admit(name, format),
                    Passphrase = _passphrase,
                };
                var opener = new ImageOpener("paddock", _console.Error);
                return (await opener.OpenBareAsync(BackingName.Resolve(name, overlay.Name), settings)).Device;
            }
            catch (ToolException e)
            {
                throw new BlockException(BlockError.NotFound, $"Could not open backing file: {EscapedText.Escape(e.Message)}", e);
            }
        }

        public ValueTask<IStorage> OpenDataFileAsync(string name, IStorage image, bool isReadOnly, CancellationToken cancellationToken)
            => new DataFileNode(new OpenSettings { Chain = _chain }).OpenDataFileAsync(name, image, isReadOnly, cancellationToken);
    }

    /// <summary>Opens a zoned disk: an image file, or a remote drive by its <c>nvme+tcp://</c> name.</summary>
    /// <exception cref="ToolException">The disk has no zones; the message names the namespace that has, if there is one.</exception>
    public static async ValueTask<IBlockDevice> OpenDiskAsync(
        string path, bool writable, NativeConsole console, CancellationToken cancellationToken, ReadOnlyMemory<byte>? passphrase = null,
        bool forceShare = false)
    {
        if (RemoteDisk.Is(path))
        {
            return await RemoteDisk.OpenZonedAsync(path, writable, console, cancellationToken);
        }

        var device = await OpenAsync(path, writable, console, cancellationToken, passphrase: passphrase, forceShare: forceShare);
        if (device.Zones is null)
        {
            await device.DisposeAsync();
            throw new ToolException($"'{path}' has no zones; create a zoned image with 'paddock create FILE SIZE --zone-size 64M'");
        }

        return device;
    }

    /// <summary>Opens the file of an image.</summary>
    /// <exception cref="ToolException">Another process uses the image; the message names it and the remedy.</exception>
    public static FileStorage OpenFile(string path, bool writable, bool forceShare = false) => OpenFile(new FileOpenOptions
    {
        Path = path,
        ReadOnly = !writable,
        Lock = forceShare ? ImageLock.ForceShare : writable ? ImageLock.Write : ImageLock.ReadShared,
    });

    /// <summary>Opens the file of an image with the given options.</summary>
    /// <exception cref="ToolException">Another process uses the image; the message names it and the remedy.</exception>
    public static FileStorage OpenFile(FileOpenOptions options)
    {
        if (options.Path.Contains("://", StringComparison.Ordinal) && !FileNames.Exists(options.Path))
        {
            throw new ToolException($"'{options.Path}' is on a server; this command requires an image file");
        }

        try
        {
            return FileStorage.Open(options);
        }
        catch (ImageLockedException e)
        {
            throw new ToolException(
                $"'{options.Path}': {e.Message}. {e.Hint} Stop that process"
                + (options.ReadOnly ? ", read the file nevertheless with --force-share" : "")
                + ", or use nvme+tcp://HOST:PORT/NQN if 'paddock serve' serves the image");
        }
    }
}
