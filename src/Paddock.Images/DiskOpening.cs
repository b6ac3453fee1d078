using Paddock.Block;
using Paddock.Images.Nodes;
using Paddock.Nbd;
using Paddock.Posix;
using Paddock.Rbd;

namespace Paddock.Images;

/// <summary>
/// Opens disks for the library: names are plain paths or remote disks, and every failure is a <see cref="BlockException"/>.
/// </summary>
internal static class DiskOpening
{
    /// <summary>Opens a disk by a path or the name of a remote disk.</summary>
    public static Task<Disk> OpenAsync(string name, DiskOptions options, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return IsRemote(name) ? OpenRemoteAsync(name, options, cancellationToken) : OpenFileAsync(name, options, cancellationToken);
    }

    /// <summary>Opens an image file. The path is never taken for another kind of name, whatever characters it has.</summary>
    public static async Task<Disk> OpenFileAsync(string path, DiskOptions options, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        CheckFormat(options.Format);
        if (options is { ForceShare: true, ReadOnly: false })
        {
            throw new BlockException(BlockError.InvalidArgument, $"'{path}': ForceShare requires ReadOnly");
        }

        var access = options.ForceShare ? ImageLock.ForceShare : options.ReadOnly ? ImageLock.ReadShared : ImageLock.Write;
        var file = OpenFile(new FileOpenOptions { Path = path, ReadOnly = options.ReadOnly, Lock = access, DirectIo = options.DirectIo });
        return await OpenStorageAsync(path, file, options, cancellationToken);
    }

    /// <summary>Opens the image in a file, or an image in RBD, that is open already, and is closed if that fails.</summary>
    public static async Task<Disk> OpenStorageAsync(string path, IStorage file, DiskOptions options, CancellationToken cancellationToken)
    {
        try
        {
            var settings = SettingsOf(options, cancellationToken) with { Storage = file, StorageFacts = (file as FileStorage)?.Facts };
            return await OpenNodeAsync(path, IsRemote(path) ? path : PlainPath(path), settings, options);
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens a file with its lock; without direct I/O where the file system has none.</summary>
    public static FileStorage OpenFile(FileOpenOptions options)
    {
        try
        {
            return FileStorage.Open(options);
        }
        catch (BlockException e) when (options.DirectIo && e.Error == BlockError.NotSupported)
        {
            return OpenFile(options with { DirectIo = false });
        }
        catch (ImageLockedException e)
        {
            throw new BlockException(BlockError.Busy, $"'{options.Path}' is in use by another process: {e.Message}", e) { Errno = e.Errno };
        }
    }

    /// <summary>Opens a backing file by the name that an image has for it.</summary>
    public static Task<Disk> OpenBackingAsync(string name, DiskOptions options, CancellationToken cancellationToken)
        => OpenNodeAsync(name, name, SettingsOf(options, cancellationToken), options);

    private static async Task<Disk> OpenRemoteAsync(string name, DiskOptions options, CancellationToken cancellationToken)
    {
        CheckFormat(options.Format);
        var settings = SettingsOf(options, cancellationToken) with
        {
            Format = options.Format ?? (RbdTarget.IsName(name) ? null : FormatProbe.Raw),
        };
        return await OpenNodeAsync(name, name, settings, options);
    }

    private static async Task<Disk> OpenNodeAsync(string name, string nodeName, OpenSettings settings, DiskOptions options)
    {
        var messages = new CollectedMessages();
        try
        {
            var opener = new ImageOpener(messages) { Backing = options.Backing, BackingOption = "DiskOptions.Backing" };
            var node = await opener.OpenBareAsync(nodeName, settings);
            var device = CheckedDevice.Wrap(node.Device);
            return node.Qcow2 is { } image
                ? new Qcow2Disk(device, image, name, messages) { Node = node }
                : new Disk(device, name, FormatProbe.Raw, messages) { Node = node };
        }
        catch (Exception e) when (e is BlockException or ToolException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw Failure(name, e);
        }
    }

    private static OpenSettings SettingsOf(DiskOptions options, CancellationToken cancellationToken) => new()
    {
        ReadOnly = options.ReadOnly,
        Format = options.Format,
        Passphrase = options.Passphrase,
        ForceShare = options.ForceShare,
        Cache = options.DirectIo ? "none" : null,
        Stop = cancellationToken,
    };

    // the code of a failure is that of its innermost cause that has one
    private static BlockException Failure(string name, Exception e)
    {
        BlockException? cause = null;
        for (var inner = e; inner is not null; inner = inner.InnerException)
        {
            cause = inner as BlockException ?? cause;
        }

        string quoted = $"'{EscapedText.Escape(name)}'";
        string message = e.Message.Contains(quoted, StringComparison.Ordinal) ? e.Message : $"cannot open {quoted}: {e.Message}";
        var error = cause?.Error ?? (e is ToolException or FormatException ? BlockError.InvalidArgument : BlockError.Io);
        return new BlockException(error, message, e) { Errno = cause?.Errno ?? 0 };
    }

    private static void CheckFormat(string? format)
    {
        if (format is not (null or FormatProbe.Raw or FormatProbe.Qcow2))
        {
            throw new BlockException(BlockError.InvalidArgument, $"format '{EscapedText.Escape(format)}': expected qcow2 or raw");
        }
    }

    private static bool IsRemote(string name)
        => RbdTarget.IsName(name) || (name.Contains("://", StringComparison.Ordinal) && (NvmeName.Is(name) || NbdTarget.IsName(name)));

    // a relative path with a colon would be taken for PROTOCOL:REST
    private static string PlainPath(string path) => path.Contains(':', StringComparison.Ordinal) && path[0] != '/' ? "./" + path : path;
}
