using System.Numerics;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Changes properties of an image. Everything is checked first; each change is durable by itself, so that a crash leaves some of them
/// made, and the image sound.
/// </summary>
internal sealed class ImageAmend(ImageParts parts, ZeroExpansion zeroes, HeaderRewrite rewrite)
{
    private const int VersionTwoOrder = 4;

    private readonly ImageHeader _header = parts.Header;

    /// <summary>Rejects what <see cref="RunAsync"/> would reject by the header alone.</summary>
    public void Check(Qcow2AmendOptions options)
        => Check(
            options, options.Version ?? (int)_header.Fields.Version,
            options.RefcountBits is { } bits ? OrderOf(bits) : _header.Geometry.RefcountOrder);

    /// <summary>Checks the options, then changes the image.</summary>
    /// <exception cref="BlockException">The image cannot be changed like this; QEMU's words.</exception>
    public async ValueTask RunAsync(Qcow2AmendOptions options, Action<long, long>? report)
    {
        var snapshots = parts.Directory.Entries;
        int version = options.Version ?? (int)_header.Fields.Version;
        int order = options.RefcountBits is { } bits ? OrderOf(bits) : _header.Geometry.RefcountOrder;
        bool upgrades = version > _header.Fields.Version, downgrades = version < _header.Fields.Version;
        bool changesWidth = order != _header.Geometry.RefcountOrder;
        parts.Session.EnsureWritable();
        Check(options, version, order);
        if (downgrades)
        {
            CheckSnapshots(snapshots);
            await CheckCompressedAsync();
        }

        await parts.Session.StartAsync();
        var progress = new AmendProgress((upgrades || downgrades ? 1 : 0) + (changesWidth ? 1 : 0), report);
        if (upgrades)
        {
            progress.Next();
            progress.Report(0, 2);
            await CompleteSnapshotsAsync();
            progress.Report(1, 2);
            await RewriteAsync(Upgraded(), _header.Extensions);
            progress.Report(2, 2);
        }

        await ChangeHeaderAsync(options);
        if (downgrades)
        {
            progress.Next();
            await ExpandZeroesAsync(snapshots, progress);
        }

        if (changesWidth || downgrades)
        {
            // the objects of the open image have one width and one version: nothing is written through them from here on
            await ImageClosing.WriteAsync(parts);
            parts.Session.End();
        }

        if (changesWidth)
        {
            progress.Next();
            await UnderMetadataLockAsync(() => new RefcountWidth(parts.Storage, _header, order, progress).RunAsync());
        }

        if (downgrades)
        {
            await RewriteAsync(Downgraded(), _header.Extensions.FindAll(static e => e.Type != HeaderExtension.FeatureNames));
        }
    }

    private async ValueTask ExpandZeroesAsync(IReadOnlyList<SnapshotEntry> snapshots, AmendProgress progress)
    {
        try
        {
            await zeroes.RunAsync(snapshots, progress);
        }
        catch (BlockException e)
        {
            string cause = e switch
            {
                ImageCorruptException => "Input/output error",
                SnapshotL1Exception => e.Error == BlockError.TooLarge ? "File too large" : "Invalid argument",
                _ => e.Message,
            };
            throw new BlockException(e.Error, $"Failed to turn zero into data clusters: {cause}", e) { Errno = e.Errno };
        }
    }

    private static int OrderOf(int bits)
        => bits is >= 1 and <= 64 && BitOperations.IsPow2(bits) ? BitOperations.Log2((uint)bits)
            : throw Invalid("Refcount width must be a power of two and may not exceed 64 bits");

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);

    private void Check(Qcow2AmendOptions options, int version, int order)
    {
        if (version is not (2 or 3))
        {
            throw Invalid($"version {version}: expected 2 or 3");
        }

        bool isExternal = _header.Has(IncompatibleFeatures.ExternalDataFile);
        if (options.DataFile is not null && !isExternal)
        {
            throw Invalid("data-file can only be set for images that use an external data file");
        }

        if (options.DataFileRaw == true && (_header.Fields.Autoclear & AutoclearFeatures.RawExternalData) == 0)
        {
            throw Invalid("data-file-raw cannot be set on existing images");
        }

        if (options.RefcountBits is not null && order != VersionTwoOrder && version < 3)
        {
            throw Invalid("Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
        }

        if (options.LazyRefcounts == true && version < 3)
        {
            throw Invalid("Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
        }

        if (version < _header.Fields.Version)
        {
            CheckDowngrade(order, isExternal);
        }
    }

    private void CheckDowngrade(int order, bool isExternal)
    {
        var rest = _header.Fields.Incompatible & ~(IncompatibleFeatures.Dirty | IncompatibleFeatures.CompressionType);
        string? reason = order != VersionTwoOrder ? "compat=0.10 requires refcount_bits=16"
            : isExternal ? "Cannot downgrade an image with a data file"
            : parts.Unreadable.HasAny ? "Cannot downgrade an image with unreadable ranges: write them first"
            : rest != 0 ? $"Cannot downgrade an image with incompatible features 0x{(ulong)rest:x} set"
            : null;
        if (reason is not null)
        {
            throw new BlockException(BlockError.NotSupported, reason);
        }
    }

    private void CheckSnapshots(IReadOnlyList<SnapshotEntry> snapshots)
    {
        // version 2 records no size of their own, and the size of a machine's state in 32 bits
        if (snapshots.Any(s => s.VmStateSize > uint.MaxValue || (s.DiskSize ?? _header.VirtualSize) != _header.VirtualSize))
        {
            throw new BlockException(BlockError.NotSupported, "Internal snapshots prevent downgrade of image");
        }
    }

    private async ValueTask CheckCompressedAsync()
    {
        for (long at = 0; _header.Compression != Qcow2Compression.Zlib && at < _header.VirtualSize;)
        {
            var status = await parts.Status.GetAsync(new GuestOffset(at), _header.VirtualSize - at, CancellationToken.None);
            at += (status.Flags & BlockStatusFlags.Compressed) == 0 ? status.Length : throw new BlockException(
                BlockError.NotSupported, "Cannot downgrade an image with zstd compression type and existing compressed clusters");
        }
    }

    // version 3 requires what version 2 may leave out: the size of the machine's state and of the disk. Before the header says version 3
    private async ValueTask CompleteSnapshotsAsync()
    {
        const int required = 16;
        if (parts.Directory.Entries.Any(static s => s.Extra.Length < required))
        {
            await UnderMetadataLockAsync(() => parts.Directory.PutAsync(parts.Directory.Entries));
        }
    }

    private Qcow2Header Upgraded() => _header.Fields with
    {
        Version = 3,
        HeaderLength = Qcow2Header.SizeV3,
        Incompatible = IncompatibleFeatures.None,
        Compatible = CompatibleFeatures.None,
        Autoclear = AutoclearFeatures.None,
        RefcountOrder = VersionTwoOrder,
        CompressionType = 0,
    };

    private Qcow2Header Downgraded() => _header.Fields with
    {
        Version = 2,
        Incompatible = IncompatibleFeatures.None,
        Compatible = CompatibleFeatures.None,
        Autoclear = AutoclearFeatures.None,
        CompressionType = 0,
    };

    // the data file and what the header says of it; lazy counts
    private async ValueTask ChangeHeaderAsync(Qcow2AmendOptions options)
    {
        var fields = _header.Fields;
        if (options.DataFileRaw is { } raw)
        {
            fields = fields with
            {
                Autoclear = raw ? fields.Autoclear | AutoclearFeatures.RawExternalData
                    : fields.Autoclear & ~AutoclearFeatures.RawExternalData,
            };
        }

        if (options.LazyRefcounts is { } lazy)
        {
            fields = fields with
            {
                Compatible = lazy ? fields.Compatible | CompatibleFeatures.LazyRefcounts
                    : fields.Compatible & ~CompatibleFeatures.LazyRefcounts,
            };
        }

        if (options.DataFile is { } name && name != (_header.DataFileName ?? ""))
        {
            await RewriteAsync(fields, WithDataFile(name));
        }
        else if (fields != _header.Fields)
        {
            await UnderMetadataLockAsync(() => _header.PutAsync(fields));
        }
    }

    private List<HeaderExtension> WithDataFile(string name)
    {
        var bytes = ByteText.ToBytes(name);
        int at = _header.Extensions.FindIndex(static e => e.Type == HeaderExtension.ExternalDataFile);
        var next = _header.Extensions.FindAll(static e => e.Type != HeaderExtension.ExternalDataFile);
        if (bytes.Length > 0)
        {
            next.Insert(Math.Max(0, at), new HeaderExtension(HeaderExtension.ExternalDataFile, bytes));
        }

        return next;
    }

    private ValueTask RewriteAsync(Qcow2Header fields, List<HeaderExtension> extensions)
    {
        bool lacksNames = fields.Version >= 3 && !extensions.Exists(static e => e.Type == HeaderExtension.FeatureNames)
            && FeatureNameTable.FitsCluster(_header.Geometry.ClusterSize);
        var names = new HeaderExtension(
            HeaderExtension.FeatureNames, FeatureNameTable.Build((fields.Incompatible & IncompatibleFeatures.Zoned) != 0));
        List<HeaderExtension> all = lacksNames ? [.. extensions, names] : extensions;
        return UnderMetadataLockAsync(() => rewrite.RunAsync(fields, all, _header.BackingName));
    }

    private async ValueTask UnderMetadataLockAsync(Func<ValueTask> change)
    {
        await parts.Locks.Metadata.AcquireAsync();
        try
        {
            await change();
        }
        finally
        {
            parts.Locks.Metadata.Release();
        }
    }
}
