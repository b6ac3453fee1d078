using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Random images for plain (unzoned) simulations, and their backing files.</summary>
internal sealed class ImageRecipe : IImageGate
{
    /// <summary>Smallest cluster with subclusters.</summary>
    public const int SmallestExtended = 16384;

    private const string BackingName = "base";

    private ImageRecipe(Qcow2CreateOptions create, Qcow2OpenOptions open)
    {
        Create = create;
        Open = open with { Gate = this };
    }

    /// <summary>Where the data of images with a data file are.</summary>
    public DataDisks Data { get; } = new();

    /// <summary>Options for creating the image.</summary>
    public Qcow2CreateOptions Create { get; }

    /// <summary>Options for opening the image.</summary>
    public Qcow2OpenOptions Open { get; }

    /// <summary>Contents of the backing image; null without one.</summary>
    public PagedStorage? Backing { get; private init; }

    /// <summary>Whether the backing image is qcow2.</summary>
    public bool BackingIsQcow2 { get; private init; }

    /// <summary>Initial contents of the image: one version per sector.</summary>
    public required uint[] Start { get; init; }

    /// <summary>Creates a recipe.</summary>
    /// <param name="random">Source of all random choices.</param>
    /// <param name="extended">Whether the image must have extended L2 entries; else one in three has.</param>
    /// <param name="sizes">Cluster sizes to choose from; with extended L2 entries, small ones become larger.</param>
    public static async Task<ImageRecipe> MakeAsync(Random random, bool extended, params int[] sizes)
    {
        int cluster = sizes[random.Next(sizes.Length)];
        extended |= random.Next(3) == 0;
        cluster = extended ? Math.Max(cluster, SmallestExtended) : cluster;
        long size = SizeFor(random, cluster);
        bool version2 = !extended && random.Next(6) == 0;
        var create = new Qcow2CreateOptions
        {
            Size = size,
            Version = version2 ? 2 : 3,
            ClusterSize = cluster,
            ExtendedL2 = extended,
            RefcountBits = version2 ? 16 : 1 << random.Next(7),
            LazyRefcounts = !version2 && random.Next(5) == 0,
            Compression = !version2 && random.Next(3) == 0 ? Qcow2Compression.Zstd : Qcow2Compression.Zlib,
            Preallocation = random.Next(8) == 0 ? Preallocation.Metadata : Preallocation.Off,
        };
        var open = new Qcow2OpenOptions
        {
            // small caches, to exercise eviction
            L2CacheBytes = random.Next(2) == 0 ? 0 : 1 << 20,
            RefcountCacheBytes = random.Next(2) == 0 ? 0 : 1 << 20,
            PassDiscards = random.Next(4) != 0,
            OverlapChecks = random.Next(2) == 0 ? OverlapChecks.All : OverlapChecks.Cached,
        };
        var start = new uint[size / SectorPattern.Sector];
        if (random.Next(3) != 0)
        {
            return new ImageRecipe(create, open) { Start = start };
        }

        return await WithBackingAsync(random, create, open, start, extraSectors: 8);
    }

    /// <summary>Creates a recipe with a backing file that is often much longer than the image.</summary>
    public static async Task<ImageRecipe> MakeForResizeAsync(Random random, bool extended, params int[] sizes)
    {
        ImageRecipe recipe;
        do
        {
            recipe = await MakeAsync(random, extended, sizes);
        }
        while (recipe.Create.Size > 1 << 20);
        var start = new uint[recipe.Start.Length];
        return random.Next(4) == 0 ? recipe : await WithBackingAsync(random, recipe.Create, recipe.Open, start, extraSectors: 2048);
    }

    /// <summary>Creates the image on a durable disk.</summary>
    public Task<PagedStorage> BuildAsync() => Data.BuildAsync(Create);

    /// <summary>Opens the image in a storage, with requests validated first.</summary>
    public async Task<CheckedDevice> OpenAsync(IStorage storage, bool readOnly = false)
        => CheckedDevice.Wrap(await Qcow2Image.OpenAsync(storage, Data.OpenOptions(storage, Open with { ReadOnly = readOnly })));

    /// <summary>The same recipe with an external data file.</summary>
    /// <param name="random">Source of all random choices.</param>
    /// <param name="mayBeRaw">
    /// Whether it may be one that reads as the disk does: what an interrupted resize leaves of such a file shows on a larger disk.
    /// </param>
    public ImageRecipe WithDataFile(Random random, bool mayBeRaw = true)
    {
        bool isRaw = mayBeRaw && Backing is null && random.Next(3) == 0;
        var create = Create with { Version = 3, DataFile = "data", DataFileRaw = isRaw };
        return new ImageRecipe(create, Open) { Start = Start, Backing = Backing, BackingIsQcow2 = BackingIsQcow2 };
    }

    /// <summary>The same recipe, encrypted.</summary>
    public ImageRecipe Encrypted(Random random)
        // as in QEMU the preallocated clusters of version 2, which has no zero flag, decrypt to garbage
        => new(
            Encryption.Of(Create.Version == 2 ? Create with { Preallocation = Preallocation.Off } : Create, random), Open)
        {
            Start = Start, Backing = Backing, BackingIsQcow2 = BackingIsQcow2,
        };

    /// <summary>Opens a snapshot of the image.</summary>
    public ValueTask<IQcow2Device> OpenSnapshotAsync(PagedStorage storage, string name)
        => Qcow2Image.OpenAsync(
            storage.Clone(), Encryption.Open(Open with { ReadOnly = true, Snapshot = new SnapshotChoice(null, name) }));

    /// <inheritdoc/>
    public async ValueTask<IBlockDevice?> OpenBackingAsync(
        string name, string? format, IStorage overlay, CancellationToken cancellationToken)
    {
        var storage = Backing!.Clone("backing", readOnly: true);
        return BackingIsQcow2
            ? await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true }, cancellationToken)
            : new RawDevice(storage, readOnly: true);
    }

    public override string ToString()
        => $"{Create.Size} bytes, v{Create.Version}, clusters of {Create.ClusterSize}"
            + $"{(Create.ExtendedL2 ? " with subclusters" : "")}, refcounts of {Create.RefcountBits} bits"
            + $"{(Create.OldAesEncryption ? ", AES" : Create.Encryption is { } luks ? $", {luks.Cipher}-{luks.Mode}" : "")}"
            + $"{(Create.DataFile is null ? "" : Create.DataFileRaw ? ", raw data file" : ", data file")}"
            + $"{(Create.LazyRefcounts ? ", lazy" : "")}, {Create.Compression}, preallocation {Create.Preallocation}"
            + $"{(Backing is null ? "" : BackingIsQcow2 ? ", qcow2 backing" : ", raw backing")}, L2 cache {Open.L2CacheBytes}"
            + $", refcount cache {Open.RefcountCacheBytes}, {(Open.PassDiscards ? "unmap" : "no unmap")}, checks {Open.OverlapChecks}";

    private static long SizeFor(Random random, int cluster)
    {
        long unit = Math.Max(cluster, 4096);
        long sectors = Math.Min(unit * random.Next(1, 12), cluster > 65536 ? 4 << 20 : 512 << 10) / SectorPattern.Sector;
        return (sectors - (random.Next(3) == 0 ? random.Next((int)Math.Min(sectors, 8)) : 0)) * SectorPattern.Sector;
    }

    private static async Task<ImageRecipe> WithBackingAsync(
        Random random, Qcow2CreateOptions create, Qcow2OpenOptions open, uint[] start, int extraSectors)
    {
        // as long as the overlay, shorter or longer; partly written
        long sectors = Math.Max(1, start.Length + random.Next(-start.Length / 2, extraSectors + 1));
        bool qcow2 = random.Next(2) == 0;
        var storage = new PagedStorage("backing");
        if (qcow2)
        {
            await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = sectors * SectorPattern.Sector, ClusterSize = 4096 });
        }
        else
        {
            storage.SetLength(sectors * SectorPattern.Sector);
        }

        IBlockDevice device = qcow2 ? await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()) : new RawDevice(storage);
        for (long at = random.Next(6); at < sectors;)
        {
            long count = Math.Min(random.Next(1, 24), sectors - at);
            var data = SectorPattern.Make(at * SectorPattern.Sector, (int)count * SectorPattern.Sector, 1);
            await device.WriteAsync(at * SectorPattern.Sector, data);
            for (long sector = at; sector < Math.Min(at + count, start.Length); sector++)
            {
                start[sector] = 1;
            }

            at += count + random.Next(24);
        }

        await device.DisposeAsync();
        create = create with
        {
            BackingFile = BackingName, BackingFormat = qcow2 ? "qcow2" : "raw",
            Preallocation = create.ExtendedL2 ? create.Preallocation : Preallocation.Off,
        };
        return new ImageRecipe(create, open) { Start = start, Backing = storage, BackingIsQcow2 = qcow2 };
    }
}
