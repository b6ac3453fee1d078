using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Check;
using Paddock.Qcow2.Create;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;

namespace Paddock.Qcow2;

/// <summary>
/// An open qcow2 image without regard to zones. It only composes the objects of the engine; docs/ARCHITECTURE.md tells how requests
/// go through them. Clients open images through <see cref="OpenAsync"/>, which gives the zoned device where the image has zones.
/// </summary>
public sealed class Qcow2Image : IQcow2Device, IRangeCopy, IUnreadableRanges
{
    private readonly ImageParts _parts;
    private readonly ClusterReader _reader;
    private readonly ClusterWriter _writer;
    private readonly Qcow2Bitmaps _bitmaps;
    private bool _isDisposed;

    internal Qcow2Image(ImageParts parts)
    {
        _parts = parts;
        _reader = parts.Reader;
        _writer = parts.Writer;
        _bitmaps = new Qcow2Bitmaps(parts.Storage, parts.Header, parts.Locks, parts.Session, parts.Bitmaps);
    }

    /// <inheritdoc/>
    public long Length => _parts.Header.VirtualSize;

    /// <inheritdoc/>
    public bool IsReadOnly => _parts.Session.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => BlockLimits.Bytes with { OptimalTransfer = _parts.Header.Geometry.ClusterSize };

    /// <inheritdoc/>
    public IBlockDevice? Backing => _parts.Backing;

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy RangeCopy => this;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => _parts.Unreadable.IsPossible ? this : null;

    /// <inheritdoc/>
    object IRangeCopy.Disk => this;

    /// <inheritdoc/>
    long IRangeCopy.Start => 0;

    /// <inheritdoc/>
    public IStorage Storage => _parts.Storage;

    /// <inheritdoc/>
    public IStorage? DataFile => _parts.DataFile;

    /// <inheritdoc/>
    public IReadOnlyList<string> Warnings => _parts.Warnings;

    /// <inheritdoc/>
    public IQcow2Snapshots Snapshots => _parts.Snapshots;

    /// <inheritdoc/>
    public Qcow2ImageInfo Info
    {
        get
        {
            var header = _parts.Header;
            return new()
            {
                Version = (int)header.Fields.Version,
                VirtualSize = Length,
                ClusterSize = header.Geometry.ClusterSize,
                RefcountBits = 1 << header.Geometry.RefcountOrder,
                Compression = header.Compression,
                LazyRefcounts = header.AsksForLazyRefcounts,
                Dirty = header.Has(IncompatibleFeatures.Dirty) && !_parts.Session.IsOpen,
                Corrupt = header.Has(IncompatibleFeatures.Corrupt),
                ExtendedL2 = header.Has(IncompatibleFeatures.ExtendedL2),
                ExternalDataFile = header.Has(IncompatibleFeatures.ExternalDataFile),
                DataFile = header.Has(IncompatibleFeatures.ExternalDataFile) ? header.DataFileName : null,
                DataFileRaw = (header.Fields.Autoclear & AutoclearFeatures.RawExternalData) != 0,
                Encryption = header.Fields.EncryptionName,
                HasKey = _parts.Encryption?.Cipher.HasKey == true,
                Luks = _parts.Encryption?.Luks,
                Bitmaps = _bitmaps.List,
                BackingFile = header.BackingName,
                BackingFormat = header.BackingFormat,
                Snapshots = Snapshots.List,
            };
        }
    }

    /// <inheritdoc/>
    public IQcow2Bitmaps Bitmaps => _bitmaps;

    /// <summary>The objects of which the image is made.</summary>
    internal ImageParts Parts => _parts;

    /// <summary>Opens an image. The returned device owns the storage once this succeeds.</summary>
    /// <returns>The image, guarded by <see cref="CheckedDevice"/>; a zoned one has <see cref="IBlockDevice.Zones"/>.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or a header beyond the limits.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format.</exception>
    public static async ValueTask<IQcow2Device> OpenAsync(
        IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken = default)
    {
        var image = await ImageOpening.OpenAsync(storage, options, cancellationToken);
        return new CheckedQcow2Device(await ZonedOpening.AttachAsync(image, cancellationToken));
    }

    /// <summary>True when the storage begins with the qcow2 magic.</summary>
    public static async ValueTask<bool> ProbeAsync(IStorage storage, CancellationToken cancellationToken = default)
    {
        var bytes = new byte[4];
        await storage.ReadAsync(0, bytes, cancellationToken);
        return Qcow2Header.HasMagic(bytes);
    }

    /// <summary>Refuses options that make no image, as <c>CreateAsync</c> would, before any storage is opened.</summary>
    /// <exception cref="BlockException">An option is out of range, or two do not go together.</exception>
    public static void CheckCreateOptions(Qcow2CreateOptions options) => CreatePlan.Make(options);

    /// <summary>
    /// Writes a new, empty image into an empty storage, which stays open. Options are checked whole before the first write.
    /// </summary>
    public static ValueTask CreateAsync(IStorage storage, Qcow2CreateOptions options, CancellationToken cancellationToken = default)
        => ImageCreation.RunAsync(storage, null, options, cancellationToken);

    /// <summary>Writes a new image whose data will be in a file of their own (<see cref="Qcow2CreateOptions.DataFile"/>).</summary>
    /// <param name="storage">The image's storage; empty.</param>
    /// <param name="dataFile">The data file. It gets the disk's size; what a raw one holds becomes the disk's contents.</param>
    /// <param name="options">Properties of the image.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="BlockException">An option is out of range, or a storage fails. Both storages stay open.</exception>
    public static ValueTask CreateAsync(
        IStorage storage, IStorage dataFile, Qcow2CreateOptions options, CancellationToken cancellationToken = default)
        => ImageCreation.RunAsync(storage, dataFile, options, cancellationToken);

    /// <summary>Checks an image in a storage that no device is open on, and repairs it on request.</summary>
    /// <param name="storage">The storage that holds the image; writable if anything is to be repaired.</param>
    /// <param name="repair">What may be repaired.</param>
    /// <param name="line">Receives each line that qemu-img check would print ("Leaked cluster 3 refcount=1 reference=0").</param>
    /// <param name="progress">Receives the share done, 0 to 1.</param>
    /// <param name="cancellationToken">Stops the check; repairs made by then remain.</param>
    /// <returns>What was found, and how much of it was repaired. A second check without repair shows what is left.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or more memory needed than a check may use.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format beyond repair.</exception>
    public static async ValueTask<Qcow2CheckReport> CheckAsync(
        IStorage storage, Qcow2Repair repair, Action<string>? line = null, Action<double>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(storage);
        if (repair != Qcow2Repair.None && storage.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is open for reading only and cannot be repaired");
        }

        var image = await CheckedImage.ReadAsync(storage, cancellationToken, repair == Qcow2Repair.All, line);
        return await new CheckPasses(new CheckContext(image, repair, line, progress)).RunAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
        Storage.ThrowIfFlushFailed();
        DataFile?.ThrowIfFlushFailed();
    }

    /// <inheritdoc/>
    public ValueTask SetBackingFileAsync(string? name, string? format, CancellationToken cancellationToken = default)
        => _parts.Backings.RunAsync(name, format);

    /// <inheritdoc/>
    public ValueTask EmptyAsync(CancellationToken cancellationToken = default)
        => _parts.Locks.WithStructureAsync(_parts.Emptying.RunAsync);

    /// <inheritdoc/>
    public void CheckAmendOptions(Qcow2AmendOptions options) => _parts.Amend.Check(options);

    /// <inheritdoc/>
    public ValueTask AmendAsync(Qcow2AmendOptions options, Action<long, long>? progress = null)
        => _parts.Amend.RunAsync(options, progress);

    /// <inheritdoc/>
    public ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "the image has no zones, and so no zone layout");

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _reader.ReadAsync(new GuestOffset(offset), buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _writer.WriteAsync(new GuestOffset(offset), data, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => _parts.Compressed.WriteAsync(new GuestOffset(offset), data, cancellationToken);

    /// <inheritdoc/>
    public ValueTask ReadVmStateAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _parts.State.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteVmStateAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => _parts.State.WriteAsync(offset, data, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _parts.Zeroes.WriteZeroesAsync(new GuestOffset(offset), length, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _parts.Zeroes.DiscardAsync(new GuestOffset(offset), length);

    /// <inheritdoc/>
    public ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        => _parts.Copier.CopyAsync(new GuestOffset(source), new GuestOffset(offset), length, cancellationToken);

    /// <inheritdoc/>
    async ValueTask IUnreadableRanges.AddAsync(long offset, long length, CancellationToken cancellationToken)
    {
        _parts.Session.EnsureWritable();
        await _parts.Session.StartAsync();
        await _parts.Unreadable.AddAsync(new GuestOffset(offset), length);
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => _parts.Flush.RunAsync();

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _parts.Status.GetAsync(new GuestOffset(offset), length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => _parts.Locks.WithStructureAsync(() => _parts.Resize.RunAsync(length, preallocation, cancellationToken));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            await ImageClosing.CloseAsync(_parts);
        }
    }
}
