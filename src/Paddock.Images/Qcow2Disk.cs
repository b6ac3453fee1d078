using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>An open qcow2 image file, with or without zones.</summary>
/// <example>
/// <code>
/// await using var disk = await Qcow2Disk.OpenAsync("disk.qcow2");
/// byte[] sector = new byte[512];
/// await disk.ReadAsync(0, sector);
/// </code>
/// </example>
public sealed class Qcow2Disk : Disk
{
    private readonly IQcow2Device _image;

    internal Qcow2Disk(IBlockDevice device, IQcow2Device image, string path, CollectedMessages messages)
        : base(device, path, "qcow2", messages)
        => _image = image;

    /// <summary>What the image's header says: sizes, features, backing file, snapshots, zones.</summary>
    public Qcow2ImageInfo Info => _image.Info;

    /// <summary>The image's persistent bitmaps: which parts of the disk have changed since each of them was added or cleared.</summary>
    public IQcow2Bitmaps Bitmaps => _image.Bitmaps;

    /// <summary>Writes whole clusters compressed.</summary>
    internal ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        => _image.WriteCompressedAsync(offset, data, cancellationToken);

    /// <summary>Opens a qcow2 image file, and locks it as QEMU does.</summary>
    /// <param name="path">The file's path.</param>
    /// <param name="options">How to open it; null: the defaults.</param>
    /// <param name="cancellationToken">Stops the opening.</param>
    /// <exception cref="BlockException">The file cannot be opened, or is not a sound qcow2 image.</exception>
    public static new async Task<Qcow2Disk> OpenAsync(
        string path, DiskOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        return options.Format is null or "qcow2"
            ? (Qcow2Disk)await DiskOpening.OpenFileAsync(path, options with { Format = "qcow2" }, cancellationToken)
            : throw new ArgumentException(
                $"format '{options.Format}': expected qcow2; Disk.OpenAsync opens other formats", nameof(options));
    }

    /// <summary>Creates a qcow2 image file and opens it for reading and writing.</summary>
    /// <param name="path">The file's path. The file must not exist, unless <paramref name="overwrite"/>.</param>
    /// <param name="size">Size of the disk in bytes, rounded up to whole sectors of 512 bytes.</param>
    /// <param name="options">What the image is like; null: version 3, clusters of 64 KiB, no zones.</param>
    /// <param name="overwrite">Whether a file that exists is replaced; it keeps its contents if the options are rejected.</param>
    /// <param name="cancellationToken">Stops the creation; no new file is left behind.</param>
    /// <exception cref="BlockException">The options are not valid, the file exists (<see cref="BlockError.AlreadyExists"/>) or cannot be
    /// created.</exception>
    public static async Task<Qcow2Disk> CreateAsync(
        string path, long size, Qcow2CreateOptions? options = null, bool overwrite = false, CancellationToken cancellationToken = default)
    {
        var image = (options ?? new Qcow2CreateOptions()) with { Size = size };
        return (Qcow2Disk)await DiskCreation.CreateQcow2Async(path, image, overwrite, cancellationToken);
    }
}
