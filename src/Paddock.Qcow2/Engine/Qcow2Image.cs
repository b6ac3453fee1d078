using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>
/// An open qcow2 image without regard to zones: reads, writes, discards and resizes the virtual disk, and keeps the tables.
/// Clients open images through <see cref="OpenAsync"/>, which gives the zoned device where the image has zones.
/// </summary>
/// <remarks>
/// Locks, in the order in which they are taken: a range of guest clusters (shared for reads and writes in place, exclusive where the mapping
/// changes); the metadata mutex, under which tables are loaded, changed and written; the caches' own short locks. Client data moves under the
/// range alone, so requests to different clusters never wait for each other's I/O.
/// Order of writes (the image must be sound after a crash, but for leaks): reference counts, then L2 tables, then L1, then the zone table;
/// then counts of what was freed go down.
/// </remarks>
public sealed partial class Qcow2Image : IQcow2Device
{
    private const ulong L1OffsetMask = L2Entry.OffsetMask;

    private readonly IStorage _storage;
    private readonly Qcow2OpenOptions _options;
    private readonly ClusterGeometry _geometry;
    private readonly Engine.MetadataCache _l2;
    private readonly Engine.RefcountManager _refcounts;
    private readonly AsyncMutex _meta = new();
    private readonly Engine.SparseClusters _sparse;
    private readonly RangeLock _ranges = new();
    private readonly List<string> _warnings = [];
    private readonly SortedSet<int> _dirtyL1 = [];
    private readonly Func<ValueTask> _makeRoom;
    private List<HeaderExtension> _extensions = [];
    private Qcow2Header _header;
    private ulong[] _l1 = [];
    private List<SnapshotEntry> _snapshots = [];
    private List<Qcow2BitmapInfo> _bitmaps = [];
    private string? _backingName;
    private bool _writing;
    private bool _failed;
    private bool _disposed;

    private Qcow2Image(IStorage storage, Qcow2OpenOptions options, Qcow2Header header)
    {
        _storage = storage;
        _options = options;
        _header = header;
        _geometry = header.Geometry;
        IsReadOnly = options.ReadOnly || storage.IsReadOnly;
        Length = (long)header.VirtualSize;
        _metadataMap = new Engine.MetadataMap(_geometry);
        _sparse = new Engine.SparseClusters(storage, _geometry);
        var map = _metadataMap;
        _l2 = new Engine.MetadataCache(storage, Math.Min(_geometry.ClusterSize, 4096), options.L2CacheBytes, "l2_load", "l2_update");
        _reservation = new Engine.MetadataReservation(storage, _geometry.ClusterBits);
        _inPlace = new Engine.InPlaceWrites(storage);
        var freed = new Engine.FreedSpace(options.KeepFreedSpace, options.Clock);
        _refcounts = new Engine.RefcountManager(storage, _geometry, options.RefcountCacheBytes, _reservation, freed)
        {
            TableMoved = MoveRefcountTableAsync,
            Corrupted = message => FailAsync(message, 0),
            BlockChanged = (offset, added) => map.Set(offset, added ? Engine.MetadataKind.RefcountBlock : Engine.MetadataKind.None),
        };
        if (options.PassDiscards)
        {
            _refcounts.Discard = (offset, length) => _storage.DiscardAsync(offset, length);
        }

        _makeRoom = WriteBackTablesAsync;
    }

    /// <inheritdoc/>
    public long Length { get; private set; }

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public BlockLimits Limits => BlockLimits.Bytes with { OptimalTransfer = _geometry.ClusterSize };

    /// <inheritdoc/>
    public IBlockDevice? Backing { get; private set; }

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IStorage Storage => _storage;

    /// <inheritdoc/>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <inheritdoc/>
    public Qcow2ImageInfo Info => new()
    {
        Version = (int)_header.Version,
        VirtualSize = Length,
        ClusterSize = _geometry.ClusterSize,
        RefcountBits = 1 << _geometry.RefcountOrder,
        Compression = (Qcow2Compression)_header.CompressionType,
        LazyRefcounts = (_header.Compatible & CompatibleFeatures.LazyRefcounts) != 0,
        Dirty = (_header.Incompatible & IncompatibleFeatures.Dirty) != 0 && !_writing,
        Corrupt = (_header.Incompatible & IncompatibleFeatures.Corrupt) != 0,
        ExtendedL2 = (_header.Incompatible & IncompatibleFeatures.ExtendedL2) != 0,
        ExternalDataFile = (_header.Incompatible & IncompatibleFeatures.ExternalDataFile) != 0,
        Encryption = _header.EncryptionName,
        Bitmaps = _bitmaps,
        BitmapCount = BitmapDirectory.Count(_header, _extensions),
        BackingFile = _backingName,
        BackingFormat = BackingFormat,
        Snapshots = _snapshots.ConvertAll(s => s.ToInfo(Length)),
    };

    internal Qcow2Header Header => _header;

    internal ClusterGeometry Geometry => _geometry;

    internal List<HeaderExtension> Extensions => _extensions;

    internal Engine.RefcountManager Refcounts => _refcounts;

    internal AsyncMutex MetadataMutex => _meta;

    /// <summary>Takes the zone pointers that a flush which begins now will make durable.</summary>
    internal Action? CaptureZonePointers { get; set; }

    /// <summary>Writes what must be durable before the captured zone pointers are.</summary>
    internal Func<ValueTask>? PrepareZonePointers { get; set; }

    /// <summary>Writes the captured zone pointers: the last step of a flush, after data and tables are durable. Returns whether it wrote anything.</summary>
    internal Func<ValueTask<bool>>? WriteZonePointers { get; set; }

    private string? BackingFormat
        => _extensions.Find(static e => e.Type == HeaderExtension.BackingFormat) is { } e ? ByteText.FromBytes(e.Data) : null;

    private bool LazyRefcounts
        => _header.Version >= 3 && (_options.LazyRefcounts ?? (_header.Compatible & CompatibleFeatures.LazyRefcounts) != 0);

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _storage.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "the image has no zones, and so no zone layout");

    /// <summary>True when the storage begins with the qcow2 magic.</summary>
    public static async ValueTask<bool> ProbeAsync(IStorage storage, CancellationToken cancellationToken = default)
    {
        var bytes = new byte[4];
        await storage.ReadAsync(0, bytes, cancellationToken);
        return Qcow2Header.HasMagic(bytes);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        try
        {
            await StopUpkeepAsync();
            if (_writing && !_failed)
            {
                await CloseTablesAsync();
            }
        }
        finally
        {
            await _storage.DisposeAsync();
            if (Backing is not null)
            {
                await Backing.DisposeAsync();
            }
        }
    }

    internal void AddWarning(string text) => _warnings.Add(text);

    /// <summary>Replaces header fields in memory and on the storage. They share the first sector, which is written at once or not at all.</summary>
    internal async ValueTask WriteHeaderAsync(Qcow2Header header)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = header.WriteTo(bytes);
        await _storage.WriteAsync(0, bytes.AsMemory(0, length));
        _header = header;
    }

    /// <summary>Replaces header fields durably. After a failure the old ones stand, in memory and on the storage.</summary>
    internal async ValueTask PutHeaderAsync(Qcow2Header header)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = header.WriteTo(bytes);
        await _inPlace.WriteAsync(0, bytes.AsMemory(0, length));
        _header = header;
    }

    private async ValueTask MoveRefcountTableAsync(long offset, uint clusters)
    {
        await PutHeaderAsync(_header with { RefcountTableOffset = (ulong)offset, RefcountTableClusters = clusters });
        RegisterFixedMetadata();
    }

    internal void EnsureWritable()
    {
        if (_failed)
        {
            throw new BlockException(BlockError.NoMedium, "the image is corrupt and closed for writing");
        }

        if (IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is open for reading only");
        }

        _storage.ThrowIfFlushFailed();
    }

    private static ulong ReadEntry(ReadOnlySpan<byte> slice, int index) => BinaryPrimitives.ReadUInt64BigEndian(slice[(index * 8)..]);
}
