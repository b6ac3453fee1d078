using System.Buffers.Binary;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>
/// The lower objects of the engine on a storage in memory with clusters of 512 bytes: the header in cluster 0, the refcount table in 1, its
/// only block in 2 and the L1 table in 3. There is no device, and no header on the storage before one is written.
/// </summary>
internal sealed class EngineKit
{
    public const int Cluster = 512, L1Entries = 64;

    private EngineKit(Qcow2OpenOptions options, bool isLazy)
    {
        Fields = new Qcow2Header
        {
            Version = 3,
            ClusterBits = 9,
            VirtualSize = L1Entries * 64 * Cluster,
            L1Entries = L1Entries,
            L1Offset = 3 * Cluster,
            RefcountTableOffset = Cluster,
            RefcountTableClusters = 1,
        };
        InPlace = new InPlaceWrites(Storage);
        Header = new ImageHeader(Storage, InPlace, new LoadedHeader(Fields, [], null));
        Reservation = new MetadataReservation(Storage, 9);
        Guard = new MetadataGuard(Storage, Header, new MetadataMap(Header.Geometry), options);
        Guard.RegisterFixed();
        Order = new FlushOrder(Storage);
        var freed = new FreedSpace(TimeSpan.Zero, TimeProvider.System);
        var timer = new PunchTimer(TimeProvider.System, FreedSpaceUpkeep.Period);
        Holes = new HolePuncher(Storage, Header.Geometry, Reservation, freed, timer, isOn: true);
        Counts = new Refcounts(Storage, Header.Geometry, Reservation, Guard, Holes, options.RefcountCacheBytes, isLazy);
        Growth = new RefcountTableGrowth(Storage, Header, Guard, Counts);
        Allocator = new Allocator(Storage, Header.Geometry, Guard, Reservation, Counts, Growth, Holes,
            new HeldCounts(Counts, new BlocksHeader(Header, 0, [])), punchesAtFlush: true);
        L1 = new L1Table(Storage, Header, new ulong[L1Entries]);
        Map = new ClusterMap(
            Storage, Header.Geometry, new EngineLocks(), L1, Allocator, Guard, Reservation, Order, new DecompressedCluster(),
            options.L2CacheBytes);
        Order.Register(FlushPlace.InPlace, InPlace);
        Order.Register(FlushPlace.Refcounts, Counts);
        Order.Register(FlushPlace.L2, Map);
        Order.Register(FlushPlace.L1, L1);
        Order.Register(FlushPlace.FreedSpace, Allocator);
    }

    public RecordingStorage Storage { get; } = new();

    public Qcow2Header Fields { get; }

    public InPlaceWrites InPlace { get; }

    public ImageHeader Header { get; }

    public MetadataReservation Reservation { get; }

    public MetadataGuard Guard { get; }

    public FlushOrder Order { get; }

    public HolePuncher Holes { get; }

    public Refcounts Counts { get; }

    public RefcountTableGrowth Growth { get; }

    public Allocator Allocator { get; }

    public L1Table L1 { get; }

    public ClusterMap Map { get; }

    /// <summary>Makes the objects. Caches are as small as they can be.</summary>
    public static async Task<EngineKit> CreateAsync(bool isLazy = false, OverlapChecks checks = OverlapChecks.Cached)
    {
        var kit = new EngineKit(new Qcow2OpenOptions { L2CacheBytes = 0, RefcountCacheBytes = 0, OverlapChecks = checks }, isLazy);
        var table = new byte[Cluster];
        BinaryPrimitives.WriteUInt64BigEndian(table, 2 * Cluster);
        await kit.Storage.WriteAsync(Cluster, table);
        var block = new byte[Cluster];
        for (int i = 0; i < 4; i++)
        {
            RefcountCodec.Set(block, i, 4, 1);
        }

        await kit.Storage.WriteAsync(2 * Cluster, block);
        await kit.Storage.WriteAsync(3 * Cluster, new byte[Cluster]);
        kit.Counts.FollowLength();
        await kit.Counts.LoadTableAsync(new HostOffset(Cluster), 1, CancellationToken.None);
        kit.Guard.Map.Set(new HostCluster(2), MetadataKind.RefcountBlock);
        kit.Storage.Restart();
        return kit;
    }

    /// <summary>The count of a cluster as the storage has it, in the first block.</summary>
    public async Task<ulong> StoredCountAsync(HostCluster cluster)
    {
        var block = new byte[Cluster];
        await Storage.ReadAsync(2 * Cluster, block);
        return RefcountCodec.Get(block, (int)cluster.Index, 4);
    }
}
