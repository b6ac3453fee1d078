using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// opening: everything is validated before the first write
public sealed partial class Qcow2Image
{
    private const IncompatibleFeatures Known =
        IncompatibleFeatures.Dirty | IncompatibleFeatures.Corrupt | IncompatibleFeatures.CompressionType | IncompatibleFeatures.Zoned;

    /// <summary>What the specification has and Paddock does not support: reported of an image whose disk is not read.</summary>
    private const IncompatibleFeatures Reported = IncompatibleFeatures.ExternalDataFile | IncompatibleFeatures.ExtendedL2;

    /// <summary>Opens an image. The returned device owns the storage once this succeeds.</summary>
    /// <returns>The image, guarded by <see cref="CheckedDevice"/>; a zoned one has <see cref="IBlockDevice.Zones"/>.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or a header beyond the limits.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format.</exception>
    public static async ValueTask<IQcow2Device> OpenAsync(
        IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken = default)
    {
        var image = await OpenPlainAsync(storage, options, cancellationToken);
        return new CheckedQcow2Device(await Zoned.ZonedImage.AttachAsync(image, cancellationToken));
    }

    /// <summary>Opens the engine alone, without zones.</summary>
    internal static async ValueTask<Qcow2Image> OpenPlainAsync(
        IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken = default)
    {
        var (header, extensions, first) = await ReadHeaderAsync(storage, cancellationToken, options.ForInfo);
        bool writable = !options.ReadOnly && !storage.IsReadOnly;
        CheckFeatures(header, extensions, writable && !options.ForCheck, options.ForInfo);
        if (writable && !options.ForCheck && (header.Incompatible & IncompatibleFeatures.Dirty) != 0)
        {
            var report = await CheckAsync(storage, Qcow2Repair.All, options.OnRepair, null, cancellationToken);
            if (report.CheckErrors > 0)
            {
                throw new BlockException(BlockError.Io, "Could not repair dirty image: Input/output error");
            }

            (header, extensions, first) = await ReadHeaderAsync(storage, cancellationToken);
        }

        options.Tables?.Take(header);
        var image = new Qcow2Image(storage, options, header) { _extensions = extensions };
        await image.LoadTablesAsync(first, cancellationToken);
        if (image._backingName is not null && !options.NoBacking)
        {
            image.Backing = await options.Gate.OpenBackingAsync(image._backingName, image.BackingFormat, storage, cancellationToken);
        }

        return image;
    }

    /// <summary>Reads and validates the header; the third part is the bytes of the first cluster.</summary>
    internal static async ValueTask<(Qcow2Header Header, List<HeaderExtension> Extensions, byte[] First)> ReadHeaderAsync(
        IStorage storage, CancellationToken cancellationToken, bool forInfo = false)
    {
        var first = new byte[512];
        await storage.ReadAsync(0, first, cancellationToken);
        var header = Qcow2Header.Parse(first);
        ValidateOrRefuseFeatures(header, first, forInfo);
        first = new byte[header.Geometry.ClusterSize];
        await storage.ReadAsync(0, first, cancellationToken);
        int start = header.Version == 2 ? Qcow2Header.SizeV2 : (int)header.HeaderLength;
        int end = header.BackingOffset == 0 ? first.Length : (int)header.BackingOffset;
        var extensions = start <= end ? HeaderExtension.ParseAll(first.AsSpan(start, end - start)) : [];
        return (header, extensions, first);
    }

    // an unknown feature may change the meaning of any field: it is the better message when a field looks wrong too
    private static void ValidateOrRefuseFeatures(Qcow2Header header, byte[] first, bool forInfo)
    {
        try
        {
            header.Validate(forInfo);
        }
        catch (BlockException) when ((header.Incompatible & ~Known) != 0 && header.HeaderLength < first.Length)
        {
            RefuseFeatures(header, []);
            throw;
        }
    }

    private static void CheckFeatures(Qcow2Header header, List<HeaderExtension> extensions, bool writable, bool forInfo)
    {
        if ((header.Incompatible & ~(forInfo ? Known | Reported : Known)) != 0)
        {
            RefuseFeatures(header, extensions.Find(static e => e.Type == HeaderExtension.FeatureNames)?.Data ?? []);
        }

        if (writable && (header.Incompatible & IncompatibleFeatures.Corrupt) != 0)
        {
            throw new BlockException(BlockError.ReadOnly, "qcow2: Image is corrupt; cannot be opened read/write");
        }

        if (header.CompressionType > 1)
        {
            throw new BlockException(BlockError.NotSupported, $"qcow2: unknown compression type: {header.CompressionType}");
        }

        bool flagged = (header.Incompatible & IncompatibleFeatures.CompressionType) != 0;
        if (flagged != (header.CompressionType != 0))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                flagged ? "qcow2: Compression type incompatible feature bit must not be set" : "qcow2: Compression type incompatible feature bit must be set");
        }

        if (header.RefcountTableClusters == 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "Image does not contain a reference count table");
        }
    }

    private static void RefuseFeatures(Qcow2Header header, byte[] names)
        => throw new BlockException(
            BlockError.NotSupported,
            "Unsupported qcow2 feature(s): " + FeatureNameTable.Describe(
                names.Length == 0 ? FeatureNameTable.Build(zoned: true) : names, 0, (ulong)(header.Incompatible & ~Known)));

    private async ValueTask LoadTablesAsync(byte[] first, CancellationToken cancellationToken)
    {
        if (_header.BackingOffset != 0)
        {
            _backingName = ByteText.FromBytes(first.AsSpan((int)_header.BackingOffset, (int)_header.BackingLength));
        }

        var bytes = new byte[(long)_header.L1Entries * 8];
        await _storage.ReadAsync((long)_header.L1Offset, bytes, cancellationToken);
        _l1 = new ulong[_header.L1Entries];
        for (int i = 0; i < _l1.Length; i++)
        {
            _l1[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        if (!_options.ForCheck && !_options.NoBacking)
        {
            TableSharing.Refuse(_l1, new HostOffset((long)_header.L1Offset), _header.Geometry, _storage.Length);
        }

        if (!_options.ForCheck)
        {
            _snapshots = await SnapshotTable.ReadAsync(_storage, _header, cancellationToken);
            _options.Tables?.Take(_snapshots.Sum(static s => s.Header.EntrySize));
            _bitmaps = await BitmapDirectory.ReadAsync(_storage, _header, _extensions, cancellationToken);
            if (!IsReadOnly && BitmapDirectory.Count(_header, _extensions) is > 0 and var count)
            {
                _warnings.Add($"the image has {count} persistent bitmap(s), which Paddock does not update: the first write invalidates them");
            }
        }

        RegisterFixedMetadata();
    }

    /// <summary>The first change of a session: loads what only writers need and clears the feature bits that a writer must clear.</summary>
    internal async ValueTask StartWritingAsync()
    {
        if (_writing)
        {
            return;
        }

        await _meta.AcquireAsync();
        try
        {
            if (_writing)
            {
                return;
            }

            await _refcounts.LoadTableAsync((long)_header.RefcountTableOffset, _header.RefcountTableClusters, CancellationToken.None);
            RegisterTables();
            var header = _header;
            if (header.Version >= 3)
            {
                header = header with { Autoclear = AutoclearFeatures.None };
                if (WriteZonePointers is not null)
                {
                    header = header with { Incompatible = header.Incompatible | IncompatibleFeatures.Zoned };
                }

                if (LazyRefcounts)
                {
                    header = header with { Incompatible = header.Incompatible | IncompatibleFeatures.Dirty };
                }
            }

            if (header != _header)
            {
                await PutHeaderAsync(header);
            }

            StartUpkeep();
            Volatile.Write(ref _writing, true);
        }
        finally
        {
            _meta.Release();
        }
    }
}
