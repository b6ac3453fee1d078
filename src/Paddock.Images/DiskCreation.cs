using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Images;

/// <summary>
/// Creates image files for the library. A file that exists is not touched before everything that can be rejected has been.
/// </summary>
internal static class DiskCreation
{
    /// <summary>Creates a qcow2 image and opens it; its lock is held from the beginning.</summary>
    public static async Task<Disk> CreateQcow2Async(
        string path, Qcow2CreateOptions options, bool overwrite, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ZoneClone? clone = null;
        if (options.BackingFile is { } backing)
        {
            clone = await CheckBackingAsync(path, backing, options, cancellationToken);
            options = clone?.Apply(options) ?? options;
        }

        Qcow2Image.CheckCreateOptions(options);
        if (options.DataFile is not null && RbdTarget.IsName(path))
        {
            throw new BlockException(BlockError.NotSupported, $"'{path}': an image in RBD cannot have an external data file");
        }

        var open = new DiskOptions
        {
            Format = FormatProbe.Qcow2,
            Backing = options.BackingFile is null && options.DataFile is null ? BackingPolicy.None : BackingPolicy.Any,
            Passphrase = options.Encryption?.Passphrase,
        };
        return await CreateAsync(
            path, overwrite, open, file => FormatAsync(file, path, options, overwrite, clone, cancellationToken), cancellationToken);
    }

    private static async ValueTask FormatAsync(
        IStorage image, string path, Qcow2CreateOptions options, bool overwrite, ZoneClone? clone, CancellationToken cancellationToken)
    {
        await (options.DataFile is { } dataFile ? FormatAsync(image, path, dataFile, options, overwrite, cancellationToken)
            : Qcow2Image.CreateAsync(image, options, cancellationToken));
        if (clone is not null)
        {
            await clone.FinishAsync(image, options, cancellationToken);
        }
    }

    /// <summary>Creates an image and its data file, which must not exist or is overwritten.</summary>
    private static async ValueTask FormatAsync(
        IStorage image, string path, string dataFile, Qcow2CreateOptions options, bool overwrite, CancellationToken cancellationToken)
    {
        if (FileIdentity.IsSameFile(path, dataFile))
        {
            throw new BlockException(BlockError.Busy, $"'{dataFile}' is the image's own file: choose another data file") { Errno = 16 };
        }

        bool existed = FileIdentity.IsTaken(dataFile);
        RequireAbsent(dataFile, existed && !overwrite);
        await using var data = DiskOpening.OpenFile(new FileOpenOptions { Path = dataFile, Create = true, Lock = ImageLock.Write });
        try
        {
            await data.SetLengthAsync(0, cancellationToken: cancellationToken);
            await Qcow2Image.CreateAsync(image, data, options, cancellationToken);
        }
        catch when (!existed)
        {
            FileNames.Delete(dataFile);
            throw;
        }
    }

    private static void RequireAbsent(string path, bool exists)
    {
        if (exists)
        {
            throw new BlockException(
                BlockError.AlreadyExists, $"'{path}' exists already: choose another name, or overwrite it") { Errno = 17 };
        }
    }

    /// <summary>Rejects a target that a disk or one of its backing images reads from: overwriting it would destroy the disk.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.Busy"/>.</exception>
    public static void RequireOther(string path, IBlockDevice source)
    {
        if (source is Disk { Node: { } node } && node.NameOfFile(path) is { } file)
        {
            throw new BlockException(
                BlockError.Busy, $"'{path}' is the same file as '{file}', which would be lost: choose another name") { Errno = 16 };
        }
    }

    /// <summary>Creates a raw image and opens it. It reads as zeroes, unless it is a block device.</summary>
    /// <param name="path">The file's path.</param>
    /// <param name="size">Bytes, a multiple of 512.</param>
    /// <param name="overwrite">Whether a file that exists is replaced.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static Task<Disk> CreateRawAsync(string path, long size, bool overwrite, CancellationToken cancellationToken)
        => CreateAsync(path, overwrite, new DiskOptions { Format = FormatProbe.Raw }, async file =>
        {
            // a size that is too large fails here, with the old contents in place
            await file.SetLengthAsync(size, cancellationToken: cancellationToken);
            await file.SetLengthAsync(0, cancellationToken: cancellationToken);
            await file.SetLengthAsync(size, cancellationToken: cancellationToken);
        }, cancellationToken);

    // the new image must not replace what it reads from, or be left without it
    private static async ValueTask<ZoneClone?> CheckBackingAsync(
        string path, string backing, Qcow2CreateOptions options, CancellationToken cancellationToken)
    {
        var open = new DiskOptions
        {
            ReadOnly = true, Format = options.BackingFormat, Backing = BackingPolicy.Any, Passphrase = options.Encryption?.Passphrase,
        };
        await using var disk = await DiskOpening.OpenBackingAsync(BackingName.Resolve(backing, path), open, cancellationToken);
        RequireOther(path, disk);
        if (options.DataFile is { } dataFile)
        {
            RequireOther(dataFile, disk);
        }

        var clone = disk.Node is { } node ? await ZoneClone.OfAsync(node, cancellationToken) : null;
        return clone is null && options.Zoned is not null
            ? throw new BlockException(
                BlockError.InvalidArgument, $"a zoned image takes over the zones of its backing file, and '{backing}' has none")
            : clone;
    }

    private static async Task<Disk> CreateAsync(
        string path, bool overwrite, DiskOptions open, Func<IStorage, ValueTask> format, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (RbdTarget.IsName(path))
        {
            return await CreateInRbdAsync(path, overwrite, open, format, cancellationToken);
        }

        bool existed = FileIdentity.IsTaken(path);
        RequireAbsent(path, existed && !overwrite);

        var file = DiskOpening.OpenFile(new FileOpenOptions { Path = path, Create = true, Lock = ImageLock.Write });
        try
        {
            await format(file);
            return await DiskOpening.OpenStorageAsync(path, file, open, cancellationToken);
        }
        catch
        {
            await file.DisposeAsync();
            if (!existed)
            {
                FileNames.Delete(path);
            }

            throw;
        }
    }

    private static async Task<Disk> CreateInRbdAsync(
        string name, bool overwrite, DiskOptions open, Func<IStorage, ValueTask> format, CancellationToken cancellationToken)
    {
        var (storage, existed) = await OpenInRbdAsync(name, overwrite);
        try
        {
            await format(storage);
            return await DiskOpening.OpenStorageAsync(name, storage, open, cancellationToken);
        }
        catch
        {
            await storage.DisposeAsync();
            await (existed ? default : RemoteStorage.RemoveRbdAsync(name));
            throw;
        }
    }

    private static async ValueTask<(IStorage Storage, bool Existed)> OpenInRbdAsync(string name, bool overwrite)
    {
        try
        {
            return (await RemoteStorage.CreateRbdAsync(name, 0), false);
        }
        catch (BlockException e) when (e.Error == BlockError.AlreadyExists)
        {
            RequireAbsent(name, !overwrite);
            return (await RbdDriver.OpenAsync(RbdDriver.Parse(name), readOnly: false), true);
        }
        catch (ToolException e)
        {
            throw new BlockException(BlockError.InvalidArgument, e.Message, e);
        }
    }
}
