using Paddock.Block;
using Paddock.Images.Copying;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>Copies disks: to another disk, or into a new image file.</summary>
/// <remarks>
/// What reads as zeroes in the source takes no space in a new file. A zoned target is filled zone by zone: the zones that the copy reaches
/// are reset first, and where the source has the same zones, write pointers, conditions and zone descriptor extensions are kept.
/// </remarks>
public static class DiskCopy
{
    /// <summary>Copies one disk to another and flushes it.</summary>
    /// <param name="source">The disk to read.</param>
    /// <param name="target">The disk to write; at least as long as what is copied.</param>
    /// <param name="options">How to copy; null: the defaults.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops the copy; the target then holds part of it.</param>
    /// <exception cref="CopyException">A request to a disk failed.</exception>
    /// <exception cref="BlockException">The target cannot hold the copy; it is unchanged.</exception>
    public static async Task CopyAsync(
        IBlockDevice source, IBlockDevice target, CopyOptions? options = null, IProgress<CopyProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        options ??= new CopyOptions();
        if (progress is not null)
        {
            options = options with { Progress = (copied, total) => progress.Report(new CopyProgress(copied, total)) };
        }

        await RunAsync(source, target, options, cancellationToken);
        await target.FlushAsync(cancellationToken);
    }

    /// <summary>Copies a disk into a new raw file.</summary>
    /// <param name="source">The disk to read.</param>
    /// <param name="path">The new file's path. The file must not exist, unless <paramref name="overwrite"/>.</param>
    /// <param name="overwrite">Whether a file that exists is replaced.</param>
    /// <param name="options">How to copy; null: the defaults.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops the copy.</param>
    /// <exception cref="CopyException">A request to a disk failed.</exception>
    /// <exception cref="BlockException">The file exists (<see cref="BlockError.AlreadyExists"/>) or cannot be created.</exception>
    /// <remarks>A copy that fails or is stopped leaves no new file behind.</remarks>
    public static async Task CopyToRawAsync(
        IBlockDevice source, string path, bool overwrite = false, CopyOptions? options = null, IProgress<CopyProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= new CopyOptions();
        DiskCreation.RequireOther(path, source);
        bool existed = FileIdentity.IsTaken(path);
        var target = await DiskCreation.CreateRawAsync(path, CheckedLengthOf(source, options), overwrite, cancellationToken);

        // a block device keeps its contents
        options = options with { TargetIsZero = target.Node is { Storage: FileStorage { IsBlockDevice: false } } };
        await FillAsync(source, target, existed, options, progress, cancellationToken);
    }

    /// <summary>Copies a disk into a new qcow2 image.</summary>
    /// <param name="source">The disk to read.</param>
    /// <param name="path">The new file's path. The file must not exist, unless <paramref name="overwrite"/>.</param>
    /// <param name="create">What the image is like; its size is that of the copy. Null: the defaults, with the zones of the source if it
    /// has any.</param>
    /// <param name="overwrite">Whether a file that exists is replaced.</param>
    /// <param name="options">How to copy; null: the defaults.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops the copy.</param>
    /// <exception cref="CopyException">A request to a disk failed.</exception>
    /// <exception cref="BlockException">The options are not valid, the file exists (<see cref="BlockError.AlreadyExists"/>) or cannot be
    /// created.</exception>
    /// <remarks>A copy that fails or is stopped leaves no new file behind.</remarks>
    public static async Task CopyToQcow2Async(
        IBlockDevice source, string path, Qcow2CreateOptions? create = null, bool overwrite = false, CopyOptions? options = null,
        IProgress<CopyProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= new CopyOptions();
        create = (create ?? new Qcow2CreateOptions { Zoned = ZonesOf(source) }) with { Size = CheckedLengthOf(source, options) };
        DiskCreation.RequireOther(path, source);
        bool existed = FileIdentity.IsTaken(path);
        var target = (Qcow2Disk)await DiskCreation.CreateQcow2Async(path, create, overwrite, cancellationToken);
        options = options with { TargetIsZero = create.BackingFile is null && create.Preallocation == Preallocation.Off };
        if (options.Compressed)
        {
            options = options with { WriteCompressed = target.WriteCompressedAsync, CompressedUnit = target.Info.ClusterSize };
        }

        await FillAsync(source, target, existed, options, progress, cancellationToken);
    }

    /// <summary>Copies one disk to another; the caller flushes.</summary>
    /// <exception cref="CopyException">A request failed.</exception>
    /// <exception cref="BlockException">The copy is not possible.</exception>
    internal static async ValueTask RunAsync(
        IBlockDevice source, IBlockDevice target, CopyOptions options, CancellationToken cancellationToken = default)
    {
        long length = LengthOf(source, options);
        if (target.Length < length)
        {
            throw new BlockException(BlockError.InvalidArgument, "output file is smaller than input file");
        }

        if (target.Zones is not null)
        {
            await new ZoneCopy(source, target, options, length).RunAsync(cancellationToken);
            return;
        }

        var copy = new CopyWork(source, new PlainSink(target, options), options, inOrder: false);
        await copy.RunAsync([(options.Start, options.Start + length)], cancellationToken);
    }

    private static async Task FillAsync(
        IBlockDevice source, Disk target, bool existed, CopyOptions options, IProgress<CopyProgress>? progress,
        CancellationToken cancellationToken)
    {
        try
        {
            await CopyAsync(source, target, options, progress, cancellationToken);
        }
        catch
        {
            await CloseAsync(target);
            if (!existed)
            {
                FileNames.Delete(target.Name);
            }

            throw;
        }

        await target.DisposeAsync();
    }

    private static async Task CloseAsync(Disk target)
    {
        try
        {
            await target.DisposeAsync();
        }
        catch (BlockException)
        {
            // the failure of the copy is the one to report
        }
    }

    private static long LengthOf(IBlockDevice source, CopyOptions options) => options.Length ?? (source.Length - options.Start);

    // before a file that exists is touched
    private static long CheckedLengthOf(IBlockDevice source, CopyOptions options)
        => LengthOf(source, options) is >= 0 and var length && options.Start >= 0
            ? length
            : throw new BlockException(
                BlockError.InvalidArgument, $"a part from {options.Start} on is not in a disk of {source.Length} bytes");

    /// <summary>Options for an image with the zones of a disk; null for a plain one.</summary>
    internal static ZonedCreateOptions? ZonesOf(IBlockDevice source)
        => source.Zones is not { Limits: var limits } ? null : new ZonedCreateOptions
        {
            ZoneSize = limits.ZoneSize,
            ZoneCapacity = limits.ZoneCapacity,
            ConventionalZones = (uint)limits.ConventionalZones,
            MaxOpenZones = limits.MaxOpenZones,
            MaxActiveZones = limits.MaxActiveZones,
            MaxAppendBytes = limits.MaxAppendBytes,
        };
}

/// <summary>How far a copy is. Only data counts: what reads as zeroes takes no time.</summary>
/// <param name="Copied">Bytes copied so far.</param>
/// <param name="Total">Bytes to copy.</param>
public readonly record struct CopyProgress(long Copied, long Total)
{
    /// <summary>The part that is copied, 0 to 1.</summary>
    public double Fraction => Total == 0 ? 1 : (double)Copied / Total;
}
