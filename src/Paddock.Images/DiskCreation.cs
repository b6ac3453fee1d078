using Paddock.Block;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>
/// Creates image files for the library. A file that exists is not touched before everything that can be rejected has been.
/// </summary>
internal static class DiskCreation
{
    /// <summary>Creates a qcow2 image and opens it; its lock is held from the beginning.</summary>
    public static Task<Disk> CreateQcow2Async(string path, Qcow2CreateOptions options, bool overwrite, CancellationToken cancellationToken)
    {
        Qcow2Image.CheckCreateOptions(options);
        var open = new DiskOptions
        {
            Format = FormatProbe.Qcow2,
            Backing = options.BackingFile is null ? BackingPolicy.None : BackingPolicy.Any,
        };
        return CreateAsync(path, overwrite, open, file => Qcow2Image.CreateAsync(file, options, cancellationToken), cancellationToken);
    }

    /// <summary>Creates a raw image that reads as zeroes, and opens it.</summary>
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

    private static async Task<Disk> CreateAsync(
        string path, bool overwrite, DiskOptions open, Func<FileStorage, ValueTask> format, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        bool existed = FileIdentity.IsTaken(path);
        if (existed && !overwrite)
        {
            throw new BlockException(
                BlockError.AlreadyExists, $"'{path}' exists already: choose another name, or overwrite it") { Errno = 17 };
        }

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
}
