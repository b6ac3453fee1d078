using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Sim;

/// <summary>Many concurrent clients on all processors: each writes its own ranges, and all append to shared zones.</summary>
internal sealed class ThreadsRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;
    private const int Clients = 6;

    /// <inheritdoc/>
    protected override Task RunAsync(SimContext context) => Task.Run(Random.Next(2) == 0 ? PlainAsync : ZonedAsync);

    private async Task PlainAsync()
    {
        var create = new Qcow2CreateOptions
        {
            Size = 3 << 20,
            ClusterSize = Pick(512, 4096, 65536),
            RefcountBits = 1 << Random.Next(7),
            LazyRefcounts = Random.Next(4) == 0,
        };
        Trace($"plain, clusters of {create.ClusterSize}");
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, create);
        var device = await Qcow2Image.OpenAsync(storage, SmallCaches());
        var mirror = new byte[create.Size];

        // interleaved stripes that are not a multiple of a cluster: clients share clusters, never bytes
        int stripe = 700 + Random.Next(9000);
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(() => StripesAsync(device, mirror, client, stripe))));
        byte[] found = new byte[mirror.Length];
        await device.ReadAsync(0, found);
        int same = found.AsSpan().CommonPrefixLength(mirror);
        SimFailure.Unless(same == mirror.Length, $"byte {same} is not what its client wrote");
        await device.DisposeAsync();
        await CheckAsync(storage, leaksAllowed: false, "after parallel requests");
    }

    private async Task StripesAsync(IBlockDevice device, byte[] mirror, int client, int stripe)
    {
        var random = new Random(unchecked((Seed * 31) + client));
        int stripes = mirror.Length / stripe;
        for (int i = 0; i < Options.Ops; i++)
        {
            int index = (random.Next(stripes / Clients) * Clients) + client;
            int from = random.Next(stripe), length = 1 + random.Next(stripe - from);
            var mine = mirror.AsMemory((index * stripe) + from, length);
            long offset = ((long)index * stripe) + from;
            switch (random.Next(10))
            {
                case < 6:
                    random.NextBytes(mine.Span);
                    await device.WriteAsync(offset, mine);
                    break;
                case 6:
                    mine.Span.Clear();
                    await device.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                    break;
                case 7:
                    await device.FlushAsync();
                    break;
                default:
                    byte[] found = new byte[length];
                    await device.ReadAsync(offset, found);
                    SimFailure.Unless(found.AsSpan().SequenceEqual(mine.Span), $"client {client} does not read its own bytes at {offset}");
                    break;
            }
        }
    }

    private async Task ZonedAsync()
    {
        long zoneSize = Pick(24 << 10, 64 << 10, 256 << 10);
        var create = new Qcow2CreateOptions
        {
            Size = zoneSize * (Clients + 2),
            ClusterSize = Pick(512, 4096, 65536),
            Zoned = new ZonedCreateOptions { ZoneSize = zoneSize, MaxOpenZones = Pick(0u, 2u), Layout = Pick(ZoneLayout.A, ZoneLayout.C) },
        };
        if (create.Zoned.Layout == ZoneLayout.C)
        {
            create = create with { Size = (64 << 10) * (Clients + 2), Zoned = create.Zoned with { ZoneSize = 64 << 10 } };
        }

        Trace($"zoned, zones of {create.Zoned.ZoneSize}, clusters of {create.ClusterSize}, {create.Zoned.MaxOpenZones} open");
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, create);
        var device = await Qcow2Image.OpenAsync(storage, SmallCaches());
        var landed = new long[Clients][];
        await Task.WhenAll(
            Enumerable.Range(0, Clients).Select(client => Task.Run(async () => landed[client] = await ZoneClientAsync(device, client))));
        await device.DisposeAsync();
        device = await Qcow2Image.OpenAsync(storage, SmallCaches());
        await VerifyAppendsAsync(device, landed);
        await device.DisposeAsync();
        await CheckAsync(storage, leaksAllowed: false, "after parallel appends");
    }

    // writes its own zone in order, resets it when full, and appends to the two shared ones; returns the offsets of its appends
    private async Task<long[]> ZoneClientAsync(IBlockDevice device, int client)
    {
        var random = new Random(unchecked((Seed * 31) + client));
        long size = device.Zones!.Limits.ZoneSize, start = (client + 2) * size, pointer = start;
        var landed = new List<long>();
        byte[] mine = new byte[size];
        for (int i = 0; i < Options.Ops; i++)
        {
            int length = (int)Math.Min(Sector * random.Next(1, 12), start + size - pointer);
            switch (random.Next(8))
            {
                case < 4 when length > 0:
                    random.NextBytes(mine.AsSpan((int)(pointer - start), length));
                    await device.WriteAsync(pointer, mine.AsMemory((int)(pointer - start), length));
                    pointer += length;
                    break;
                case 4 when length == 0:
                    await device.Zones!.ManageAsync(ZoneAction.Reset, start, size);
                    Array.Clear(mine);
                    pointer = start;
                    break;
                case 5:
                    await device.FlushAsync();
                    break;
                case 6:
                    byte[] found = new byte[size];
                    await device.ReadAsync(start, found);
                    SimFailure.Unless(found.AsSpan().SequenceEqual(mine), $"client {client} does not read its own zone");
                    break;
                default:
                    await AppendAsync(device, (i & 1) * size, client, landed);
                    break;
            }
        }

        return [.. landed];
    }

    private static async Task AppendAsync(IBlockDevice device, long zone, int client, List<long> landed)
    {
        try
        {
            byte[] data = new byte[Sector];
            data.AsSpan().Fill((byte)(client + 1));
            landed.Add(await device.Zones!.AppendAsync(zone, data));
        }
        catch (ZoneException e) when (e.Reason == ZoneError.Full)
        {
            // the shared zones are deliberately small
        }
    }

    private static async Task VerifyAppendsAsync(IBlockDevice device, long[][] landed)
    {
        var zones = new ZoneDescriptor[2];
        await device.Zones!.ReportAsync(0, zones);
        long written = zones.Sum(z => Math.Min(z.WritePointer - z.Start, z.Capacity));
        SimFailure.Unless(
            written == landed.Sum(l => (long)l.Length) * Sector && landed.SelectMany(l => l).Distinct().Count() * (long)Sector == written,
            "appends overlap or are lost");
        byte[] data = new byte[Sector];
        for (int client = 0; client < landed.Length; client++)
        {
            foreach (long at in landed[client])
            {
                await device.ReadAsync(at, data);
                SimFailure.Unless(!data.AsSpan().ContainsAnyExcept((byte)(client + 1)), $"the append of client {client} at {at} is lost");
            }
        }
    }

    private Qcow2OpenOptions SmallCaches() => new()
    {
        L2CacheBytes = Random.Next(2) == 0 ? 0 : 1 << 20,
        RefcountCacheBytes = Random.Next(2) == 0 ? 0 : 1 << 20,
    };
}
