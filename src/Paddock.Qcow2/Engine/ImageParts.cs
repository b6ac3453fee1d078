using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The objects of an open image, put together: what each one needs is in its constructor. Only zones come later: they register
/// their stages of a flush.
/// </summary>
internal sealed class ImageParts
{
    public ImageParts(
        IStorage storage, Qcow2OpenOptions options, LoadedHeader loaded, ulong[] l1, List<SnapshotEntry> snapshots, IBlockDevice? backing,
        ExternalData? external = null, DiskEncryption? encryption = null)
    {
        Storage = storage;
        DataFile = external?.Storage;
        Encryption = encryption;
        Backing = backing;
        InPlace = new InPlaceWrites(storage);
        Header = new ImageHeader(storage, InPlace, loaded);
        var geometry = Header.Geometry;
        bool isReadOnly = options.ReadOnly || storage.IsReadOnly;
        bool isLazy = Header.HasVersion3 && (options.LazyRefcounts ?? Header.AsksForLazyRefcounts);
        bool keepsSpace = options.KeepFreedSpace > TimeSpan.Zero;
        Reservation = new MetadataReservation(storage, geometry.ClusterBits);
        Guard = new MetadataGuard(storage, Header, new MetadataMap(geometry), options);
        Order = new FlushOrder(storage, DataFile);
        var data = external is null ? new DataLayer(storage, Guard, encryption?.Cipher)
            : new DataLayer(storage, external, Header, options.PassDiscards, encryption?.Cipher);

        var freed = new FreedSpace(options.KeepFreedSpace, options.Clock);
        var timer = new PunchTimer(options.Clock, FreedSpaceUpkeep.Period);
        Holes = new HolePuncher(storage, geometry, Reservation, freed, timer, options.PassDiscards);
        Counts = new Refcounts(storage, geometry, Reservation, Guard, Holes, options.RefcountCacheBytes, isLazy);
        var tableGrowth = new RefcountTableGrowth(storage, Header, Guard, Counts);
        Blocks = new BlocksHeader(Header, storage.Length, Warnings);
        var held = new HeldCounts(Counts, Blocks);
        var allocator = new Allocator(
            storage, geometry, Guard, Reservation, Counts, tableGrowth, Holes, held, punchesAtFlush: !keepsSpace);
        Allocator = allocator;
        Upkeep = new FreedSpaceUpkeep(Holes, Guard, Locks, timer, keepsSpace && options.PassDiscards);

        var table = new L1Table(storage, Header, l1);
        var decompressed = new DecompressedCluster();
        var map = new ClusterMap(
            storage, geometry, Locks, table, allocator, Guard, Reservation, Order, decompressed, options.L2CacheBytes, data.IsExternal);
        Directory = new SnapshotDirectory(storage, Header, allocator, Guard, Order, snapshots);
        var bitmapData = new BitmapData(storage, Header, allocator, Guard);
        Bitmaps = new BitmapStore(storage, Header, InPlace, Order, Guard, bitmapData, Warnings);
        Tables = new ImageTables(storage, geometry, Guard, allocator);
        Unreadable = new UnreadableRanges(storage, Header, Locks, Order, Tables, Blocks, Warnings);
        Session = new WriteSession(
            storage, Header, data, Locks, Guard, table, Counts, Directory, Upkeep, Bitmaps, Unreadable, isReadOnly, isLazy);
        Flush = new ImageFlush(storage, data, Locks, Session, Order);
        Mark = new RepairMark(Header);
        ZoneData = new RecordMark(Header);
        Shared = new SharedClusters(geometry, map, table, Counts, allocator, Blocks, held, Mark);

        var sparse = new SparseClusters(storage, geometry);
        Reader = new ClusterReader(storage, Header, Locks, map, data, decompressed, Unreadable, backing);
        Status = new ClusterStatus(data, Header, map, sparse, Unreadable, backing);
        var clusters = new NewClusters(geometry, Locks, map, allocator, data.IsExternal, data.IsEncrypted);
        var copies = new CopyOnWrite(storage, data, Reader, backing);
        var subclusters = new SubclusterWriter(geometry, Locks, map, clusters, data, copies);
        Writer = new ClusterWriter(geometry, Locks, Session, map, clusters, allocator, data, copies, subclusters, Flush);
        Compressed = new CompressedWriter(storage, Header, Locks, Session, map, allocator, Writer, decompressed, data.IsExternal);
        var clearing = new ClusterClearing(Header, Locks, map, data, backing);
        Zeroes = new ZeroWriter(Header, Locks, Session, map, data, clearing, Writer, Flush, backing);
        Space = new SpaceAhead(geometry, Locks, Session, map, clusters, data, backing, Header.HasVersion3);
        Eraser = new RangeEraser(Header, Locks, Session, map, data, Zeroes, Unreadable, backing);
        var rewrite = new HeaderRewrite(storage, Header, InPlace);
        Backings = new BackingChange(Header, Locks, Session, Order, rewrite);
        var expansion = new ZeroExpansion(storage, Header, Locks, table, map, data, clearing, Zeroes, allocator, Counts, Order);
        Amend = new ImageAmend(this, expansion, rewrite);
        Emptying = new ImageEmptying(
            Header, Locks, Session, Order, clearing, data, Flush, Unreadable, new FreshLayout(storage, Header, map, Holes));

        Size = new DiskSize(storage, Header, Locks, Order, allocator, Guard);
        var l1Growth = new L1Growth(storage, Header, Locks, table, allocator, Guard, Order);
        var tail = new DiskTail(Header, Locks, map, Zeroes, backing);
        var growth = new DiskGrowth(Header, data, Size, l1Growth, tail, clearing, Zeroes, Space, Flush, backing);
        var trimming = new RefcountTrimming(storage, geometry, Reservation, Counts, tableGrowth, allocator, Holes);
        var shrink = new DiskShrink(storage, Header, data, Locks, Size, tail, map, allocator, clearing, trimming, Flush);
        Resize = new ImageResize(Header, Session, sparse, Size, growth, shrink, Flush, Bitmaps, Unreadable, Locks);

        State = new VmState(Header, Locks, Session, l1Growth, Reader, Writer);
        var sharing = new ClusterSharing(geometry, Locks, map, Guard, Shared, held, Order, backing);
        bool hasGuestCipher = encryption is not null && encryption.Luks is null;
        Copier = new RangeCopier(Header, Session, allocator, data, Reader, Writer, sharing, Flush, Blocks, Unreadable, hasGuestCipher);
        Snapshots = MakeSnapshots(table, map, sparse);
        RegisterStages(table, map);
        Guard.RegisterFixed(encryption?.Area);
    }

    public IStorage Storage { get; }

    /// <summary>The external data file; null: the data are in the image's file.</summary>
    public IStorage? DataFile { get; }

    public IBlockDevice? Backing { get; }

    /// <summary>The snapshot that is read in place of the present disk; null: the present disk.</summary>
    public SnapshotEntry? LoadedSnapshot { get; init; }

    /// <summary>Bytes of the present disk, whichever is read.</summary>
    public long PresentSize
    {
        get => LoadedSnapshot is null ? Header.VirtualSize : field;
        init;
    }

    /// <summary>How the disk is encrypted; null: it is not.</summary>
    public DiskEncryption? Encryption { get; }

    /// <summary>Warnings from opening the image.</summary>
    public List<string> Warnings { get; } = [];

    public EngineLocks Locks { get; } = new();

    public ImageHeader Header { get; }

    public InPlaceWrites InPlace { get; }

    public MetadataReservation Reservation { get; }

    public MetadataGuard Guard { get; }

    public FlushOrder Order { get; }

    public HolePuncher Holes { get; }

    public Refcounts Counts { get; }

    public Allocator Allocator { get; }

    public FreedSpaceUpkeep Upkeep { get; }

    public BitmapStore Bitmaps { get; }

    public WriteSession Session { get; }

    public ImageFlush Flush { get; }

    public ClusterReader Reader { get; }

    public ClusterStatus Status { get; }

    public ClusterWriter Writer { get; }

    /// <summary>The feature bit of data behind the zone table.</summary>
    public RecordMark ZoneData { get; }

    public CompressedWriter Compressed { get; }

    public ZeroWriter Zeroes { get; }

    public SpaceAhead Space { get; }

    public RangeEraser Eraser { get; }

    public BackingChange Backings { get; }

    public ImageEmptying Emptying { get; }

    public ImageAmend Amend { get; }

    public ImageTables Tables { get; }

    public DiskSize Size { get; }

    public ImageResize Resize { get; }

    public VmState State { get; }

    public RepairMark Mark { get; }

    /// <summary>Paddock's header extension for blocks.</summary>
    public BlocksHeader Blocks { get; }

    public UnreadableRanges Unreadable { get; }

    public SharedClusters Shared { get; }

    public RangeCopier Copier { get; }

    public SnapshotDirectory Directory { get; }

    public ImageSnapshots Snapshots { get; }

    private ImageSnapshots MakeSnapshots(L1Table table, ClusterMap map, SparseClusters sparse)
    {
        var tree = new TableTree(Header.Geometry, map, table, Counts, Allocator);
        return new ImageSnapshots(
            Header, Locks, Session, Directory,
            new SnapshotCreation(Storage, Header, Locks, Session, Flush, Order, table, tree, Allocator, Guard, Mark, Directory, Tables),
            new SnapshotDeletion(Storage, Header, Locks, Session, Flush, Order, table, tree, Allocator, Mark, Directory),
            new SnapshotRestore(Storage, Header, Locks, Session, Order, table, map, tree, Allocator, Guard, Mark, sparse, Bitmaps,
                Unreadable));
    }

    private void RegisterStages(L1Table table, ClusterMap map)
    {
        Order.Register(FlushPlace.InPlace, InPlace);
        Order.Register(FlushPlace.Refcounts, Counts);
        Order.Register(FlushPlace.L2, map);
        Order.Register(FlushPlace.L1, table);
        Order.Register(FlushPlace.ZoneAttributes, Unreadable);
        Order.Register(FlushPlace.FreedSpace, Allocator);
        Order.Register(FlushPlace.FreedSpace, Shared);
    }
}
