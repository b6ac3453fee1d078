using System.Numerics;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Random zoned images: zones that are not a multiple of a cluster, short last zones, conventional zones, tight limits.</summary>
internal sealed class ZonedRecipe
{
    private const int Sector = SectorPattern.Sector;

    private ZonedRecipe(Qcow2CreateOptions create, Qcow2OpenOptions open)
    {
        Create = create;
        Open = open;
    }

    /// <summary>Where the data of images with a data file are.</summary>
    public DataDisks Data { get; } = new();

    /// <summary>Options for creating the image.</summary>
    public Qcow2CreateOptions Create { get; }

    /// <summary>Options for opening the image.</summary>
    public Qcow2OpenOptions Open { get; }

    /// <summary>Zoned options of the image.</summary>
    public ZonedCreateOptions Zones => Create.Zoned!;

    /// <summary>Creates a recipe.</summary>
    /// <param name="random">Source of all random choices.</param>
    /// <param name="extended">Whether the image must have extended L2 entries; else one in three has.</param>
    /// <param name="sizes">Cluster sizes to choose from; with extended L2 entries, small ones become larger.</param>
    public static ZonedRecipe Make(Random random, bool extended, params int[] sizes)
    {
        int cluster = sizes[random.Next(sizes.Length)];
        extended |= random.Next(3) == 0;
        cluster = extended ? Math.Max(cluster, ImageRecipe.SmallestExtended) : cluster;
        var layout = random.Next(6) switch { 0 or 1 => ZoneLayout.C, 2 => ZoneLayout.B, _ => ZoneLayout.A };
        long zoneSize = ZoneSize(random, cluster, layout);
        int zones = random.Next(2, 9);
        long size = zoneSize * zones;
        if (random.Next(3) == 0)
        {
            size -= random.NextInt64(zoneSize / Sector) * Sector;
        }

        long capacity = random.Next(2) == 0 ? zoneSize : (1 + random.NextInt64(zoneSize / Sector)) * Sector;
        uint conventional = random.Next(3) == 0 ? (uint)random.Next(zones) : 0;
        uint active = random.Next(2) == 0 ? 0 : (uint)random.Next(1, zones + 1);
        uint open = random.Next(2) == 0 ? 0 : (uint)random.Next(1, (int)(active == 0 ? (uint)zones : active) + 1);
        var create = new Qcow2CreateOptions
        {
            Size = size,
            ClusterSize = cluster,
            ExtendedL2 = extended,
            RefcountBits = 1 << random.Next(7),
            LazyRefcounts = random.Next(6) == 0,
            Zoned = new ZonedCreateOptions
            {
                Layout = layout,
                ZoneSize = zoneSize,
                ZoneCapacity = capacity,
                ConventionalZones = conventional,
                MaxActiveZones = active,
                MaxOpenZones = Math.Min(open, (uint)zones - conventional),
                MaxAppendBytes = layout != ZoneLayout.C && random.Next(3) == 0 ? Sector * random.Next(1, 64) : 0,
            },
        };
        return new ZonedRecipe(create, new Qcow2OpenOptions
        {
            L2CacheBytes = random.Next(2) == 0 ? 0 : 1 << 20,
            RefcountCacheBytes = random.Next(2) == 0 ? 0 : 1 << 20,
            PassDiscards = random.Next(4) != 0,
            OverlapChecks = random.Next(2) == 0 ? OverlapChecks.All : OverlapChecks.Cached,
        });
    }

    /// <summary>Creates the image on a durable disk.</summary>
    public Task<PagedStorage> BuildAsync() => Data.BuildAsync(Create);

    /// <summary>The same recipe with an external data file.</summary>
    public ZonedRecipe WithDataFile(Random random) => new(Create with { DataFile = "data", DataFileRaw = random.Next(3) == 0 }, Open);

    /// <summary>The same recipe, encrypted.</summary>
    public ZonedRecipe Encrypted(Random random) => new(Encryption.Of(Create, random), Open);

    /// <summary>The same recipe, and zones can have random write areas.</summary>
    public ZonedRecipe WithAreas(Random random)
    {
        long capacity = Zones.ZoneCapacity ?? Zones.ZoneSize;
        long unit = Array.Find<long>(random.Next(2) == 0 ? [4096, 1024, Sector] : [1536, Sector], unit => capacity % unit == 0);
        long size = unit * random.NextInt64(1, Math.Min(12, capacity / unit) + 1);
        uint zones = (uint)random.Next(0, 4);
        zones = Zones.MaxActiveZones == 0 ? zones : Math.Min(zones, Zones.MaxActiveZones);
        return new(Create with { Zoned = Zones with { RandomArea = new RandomAreaLimits(size, unit, zones) } }, Open);
    }

    /// <summary>Opens the image in a storage, with requests validated first.</summary>
    public async Task<IQcow2Device> OpenAsync(IStorage storage, bool readOnly = false)
        => await Qcow2Image.OpenAsync(storage, Data.OpenOptions(storage, Open with { ReadOnly = readOnly }));

    /// <summary>Opens a snapshot of the image.</summary>
    public ValueTask<IQcow2Device> OpenSnapshotAsync(PagedStorage storage, string name)
        => Qcow2Image.OpenAsync(
            storage.Clone(), Encryption.Open(Open with { ReadOnly = true, Snapshot = new SnapshotChoice(null, name) }));

    public override string ToString()
        => $"{Create.Size} bytes, clusters of {Create.ClusterSize}"
            + $"{(Create.ExtendedL2 ? " with subclusters" : "")}, refcounts of {Create.RefcountBits} "
            + $"bits{(Create.LazyRefcounts ? ", lazy" : "")}, "
            + $"{(Create.OldAesEncryption ? "AES, " : Create.Encryption is { } luks ? $"{luks.Cipher}-{luks.Mode}, " : "")}"
            + $"{(Create.DataFile is null ? "" : Create.DataFileRaw ? "raw data file, " : "data file, ")}"
            + $"layout {Zones.Layout}, zones of {Zones.ZoneSize} with {Zones.ZoneCapacity}, {Zones.ConventionalZones} conventional, "
            + $"{Zones.MaxActiveZones} active, {Zones.MaxOpenZones} open, append {Zones.MaxAppendBytes}, "
            + $"{(Open.PassDiscards ? "unmap" : "no unmap")}, checks {Open.OverlapChecks}";

    private static long ZoneSize(Random random, int cluster, ZoneLayout layout)
    {
        long unit = Math.Clamp(cluster, 4096, 65536);
        long size = random.Next(3) switch
        {
            0 => unit * random.Next(1, 4),
            1 => unit / 2 * random.Next(1, 6),
            _ => random.Next(1, (int)(unit * 2 / Sector)) * Sector,
        };
        return layout == ZoneLayout.C ? Math.Max(cluster, (long)BitOperations.RoundUpToPowerOf2((ulong)size)) : size;
    }
}
