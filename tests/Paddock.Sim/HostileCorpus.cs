using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Small valid images of all kinds, as input for a fuzzer.</summary>
internal static class HostileCorpus
{
    /// <summary>Builds the images; a kind that cannot be built is reported and omitted.</summary>
    public static async Task<List<PagedStorage>> MakeAsync(Action<string> note)
    {
        var images = new List<PagedStorage>();
        foreach (var create in Recipes())
        {
            try
            {
                var (image, data) = await FilledAsync(create);
                images.Add(image);
                if (create is { RefcountBits: > 1, Preallocation: Preallocation.Off, DataFile: null })
                {
                    images.Add(await WithSnapshotsAsync(image.Clone("hostile"), create));
                }

                if (create is { Version: 3, Preallocation: Preallocation.Off, BackingFile: null })
                {
                    images.Add(await WithBitmapsAsync(image.Clone("hostile"), data));
                }
            }
            catch (BlockException e)
            {
                note($"no corpus image: {e.Message}");
            }
        }

        return images;
    }

    private static IEnumerable<Qcow2CreateOptions> Recipes()
    {
        foreach (int cluster in (int[])[512, 4096, 65536])
        {
            var plain = new Qcow2CreateOptions { Size = 40 * (long)Math.Min(cluster, 16384), ClusterSize = cluster };
            yield return plain;
            yield return plain with { Version = 2 };
            yield return plain with { RefcountBits = 1, Compression = Qcow2Compression.Zstd };
            yield return plain with { RefcountBits = 64, LazyRefcounts = true };
            yield return plain with { BackingFile = "no/such/file", BackingFormat = "raw" };
            yield return plain with { DataFile = "no/such/file" };
            yield return plain with { DataFile = "disk.raw", DataFileRaw = true };
            yield return Encryption.Luks(plain, "xts");
            yield return Encryption.Luks(plain, "cbc") with { DataFile = "no/such/file" };
            yield return plain with { OldAesEncryption = true };
            long zone = 8 * Math.Min(cluster, 8192);
            var zoned = new ZonedCreateOptions { ZoneSize = zone, ConventionalZones = 1, MaxOpenZones = 2, MaxActiveZones = 3 };
            yield return plain with { Size = (zone * 5) - 512, Zoned = zoned with { ZoneCapacity = zone - 1024, MaxAppendBytes = 4096 } };
            yield return plain with { Size = zone * 4, Zoned = zoned with { Layout = ZoneLayout.C } };
            yield return plain with { Size = zone * 6, Zoned = zoned with { RandomArea = new(2048, 512, 2) } };
            yield return Encryption.Luks(plain, "xts") with { Size = zone * 4, Zoned = zoned };
            yield return plain with { Size = zone * 4, Zoned = zoned, DataFile = "no/such/file" };
        }

        foreach (int cluster in (int[])[16384, 65536])
        {
            var extended = new Qcow2CreateOptions { Size = 40 * 16384, ClusterSize = cluster, ExtendedL2 = true };
            yield return extended;
            yield return extended with { RefcountBits = 1, Preallocation = Preallocation.Metadata };
            yield return extended with { BackingFile = "no/such/file", BackingFormat = "raw" };
            var zoned = new ZonedCreateOptions { ZoneSize = 65536, ConventionalZones = 1, MaxOpenZones = 2, MaxActiveZones = 3 };
            yield return extended with { Size = 65536 * 5, Zoned = zoned };
            yield return Encryption.Luks(extended, "ctr");
        }
    }

    private static async Task<(PagedStorage Image, PagedStorage? Data)> FilledAsync(Qcow2CreateOptions create)
    {
        var storage = new PagedStorage("hostile") { MaxLength = FuzzRun.MaxFile, MaxRequests = FuzzRun.MaxRequests };
        var data = new PagedStorage("data");
        await (create.DataFile is null ? Qcow2Image.CreateAsync(storage, create) : Qcow2Image.CreateAsync(storage, data, create));
        var raw = await Qcow2Image.OpenAsync(
            storage, Encryption.Open(new Qcow2OpenOptions { NoBacking = true, DataFile = create.DataFile is null ? null : data }));
        IBlockDevice device = raw;
        int cluster = create.ClusterSize;
        if (device.Zones is not null)
        {
            await FillZonesAsync(device);
        }
        else
        {
            if (create.ExtendedL2)
            {
                await device.WriteAsync(1024, SectorPattern.Make(1024, 4096, 2));
                await device.WriteZeroesAsync(2048, 1024);
            }

            await device.WriteAsync(cluster, SectorPattern.Make(cluster, cluster * 2, 3));
            await device.WriteAsync((cluster * 5L) + 512 - (cluster > 512 ? 0 : 512), SectorPattern.Make(0, 512, 4));
            await device.WriteZeroesAsync(cluster * 2L, cluster);
            if (create is { DataFile: null, Encryption: null, OldAesEncryption: false })
            {
                await raw.WriteCompressedAsync(cluster * 7L, SectorPattern.Make(cluster * 7L, cluster, 5));
            }
        }

        await device.DisposeAsync();
        return (storage, create.DataFile is null ? null : data);
    }

    private static async Task<PagedStorage> WithSnapshotsAsync(PagedStorage storage, Qcow2CreateOptions create)
    {
        await using var image = await Qcow2Image.OpenAsync(storage, Encryption.Open(new Qcow2OpenOptions { NoBacking = true }));
        await image.Snapshots.CreateAsync("first", DateTimeOffset.UnixEpoch);
        long at = image.Zones is null ? create.ClusterSize : 512;
        await image.WriteAsync(at, SectorPattern.Make(at, 1024, 6));
        await image.Snapshots.CreateAsync("second", DateTimeOffset.UnixEpoch);
        return storage;
    }

    private static async Task<PagedStorage> WithBitmapsAsync(PagedStorage storage, PagedStorage? data)
    {
        var options = Encryption.Open(new Qcow2OpenOptions { NoBacking = true, DataFile = data?.Clone() });
        await using (var image = await Qcow2Image.OpenAsync(storage, options))
        {
            await image.Bitmaps.AddAsync("fine", 512);
            await image.Bitmaps.AddAsync("coarse", 65536);
        }

        // in a session of its own: stored with bits that are set
        await using var again = await Qcow2Image.OpenAsync(storage, options);
        long at = again.Zones is null ? 0 : 1536;
        await again.WriteAsync(at, SectorPattern.Make(at, 1024, 7));
        await again.Bitmaps.SetEnabledAsync("coarse", enabled: false);
        return storage;
    }

    private static async Task FillZonesAsync(IBlockDevice device)
    {
        long size = device.Zones!.Limits.ZoneSize;
        await device.WriteAsync(512, SectorPattern.Make(512, 1024, 1));
        await device.Zones!.AppendAsync(size, SectorPattern.Make(size, 1536, 2));
        await device.Zones!.ManageAsync(ZoneAction.Finish, 2 * size, size);
        await device.Zones!.AppendAsync(3 * size, SectorPattern.Make(3 * size, 512, 3));
        if (device.Length > 4 * size)
        {
            await device.Zones.Attributes!.SetConditionAsync(3, ZoneCondition.ReadOnly);
            bool area = device.Zones.Limits.RandomArea.Size > 0;
            await device.Zones.Attributes.WriteExtensionAsync(4, new byte[device.Zones.Attributes.ExtensionBytes], area);
            if (area)
            {
                await device.Zones.ManageAsync(ZoneAction.OpenWithRandomArea, 5 * size, size);
                await device.WriteAsync((5 * size) + 1024, SectorPattern.Make((5 * size) + 1024, 1536, 4));
                await device.Zones.CommitAsync((5 * size) + 1024);
            }
        }
    }
}
