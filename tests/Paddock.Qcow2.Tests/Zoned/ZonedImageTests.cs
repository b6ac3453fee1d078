using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

public class ZonedImageTests
{
    private const int Zone = 1 << 20;

    [Fact]
    public async Task Pointers_persist_and_the_open_states_do_not()
    {
        var storage = await Make(8);
        await using (var disk = await Open(storage))
        {
            await disk.WriteAsync(0, Data(4096, 1));
            Assert.Equal(4096, await disk.Zones!.AppendAsync(0, Data(8192, 2)));
            await disk.Zones!.ManageAsync(ZoneAction.Open, Zone, Zone);
            await disk.Zones!.ManageAsync(ZoneAction.Finish, 2 * Zone, Zone);
            Assert.Equal([ZoneCondition.ImplicitlyOpen, ZoneCondition.ExplicitlyOpen, ZoneCondition.Full], await Conditions(disk, 3));
        }

        await using var again = await Open(storage);
        Assert.Equal([ZoneCondition.Closed, ZoneCondition.Empty, ZoneCondition.Full], await Conditions(again, 3));
        var zone = (await Report(again, 1))[0];
        Assert.Equal(12288, zone.WritePointer);
        var read = new byte[16384];
        await again.ReadAsync(0, read);
        Assert.Equal([.. Data(4096, 1), .. Data(8192, 2), .. new byte[4096]], read);
    }

    [Fact]
    public async Task Rejected_write_changes_nothing_and_reports_the_write_pointer()
    {
        var storage = await Make(2);
        await using var disk = await Open(storage);
        await disk.WriteAsync(0, Data(512, 1));
        var refused = await Assert.ThrowsAsync<ZoneException>(async () => await disk.WriteAsync(4096, Data(512, 2)));
        Assert.Equal(ZoneError.NotAtWritePointer, refused.Reason);
        Assert.Contains("write pointer, 512", refused.Message, StringComparison.Ordinal);
        Assert.Equal(512, (await Report(disk, 1))[0].WritePointer);
        var read = new byte[8192];
        await disk.ReadAsync(0, read);
        Assert.Equal([.. Data(512, 1), .. new byte[7680]], read);
    }

    [Fact]
    public async Task Reset_frees_the_clusters()
    {
        var storage = await Make(4);
        await using (var disk = await Open(storage))
        {
            await disk.WriteAsync(0, Data(Zone, 7));
            await disk.FlushAsync();
            await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, Zone);
            var read = new byte[Zone];
            await disk.ReadAsync(0, read);
            Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
        }

        Assert.True(storage.AllocatedBytes < Zone / 2);
    }

    [Fact]
    public async Task Least_recently_written_open_zone_is_closed_to_make_room()
    {
        var storage = await Make(5, open: 2, active: 3);
        await using var disk = await Open(storage);
        await disk.Zones!.AppendAsync(0, Data(512, 1));
        await disk.Zones!.AppendAsync(Zone, Data(512, 1));
        await disk.Zones!.AppendAsync(0, Data(512, 1));
        await disk.Zones!.AppendAsync(2 * Zone, Data(512, 1));
        Assert.Equal(
            [ZoneCondition.ImplicitlyOpen, ZoneCondition.Closed, ZoneCondition.ImplicitlyOpen, ZoneCondition.Empty],
            await Conditions(disk, 4));
        var refused = await Assert.ThrowsAsync<ZoneException>(async () => await disk.Zones!.AppendAsync(3 * Zone, Data(512, 1)));
        Assert.Equal(ZoneError.TooManyActive, refused.Reason);
    }

    [Theory]
    [InlineData(3 << 20, 65536)]
    [InlineData(Zone + 512, 65536)]
    [InlineData(1536, 512)]
    [InlineData(4096, 65536)]
    public async Task Random_requests_match_the_zone_model(int zoneSize, int clusterSize)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        long size = (zoneSize * 7L) + 1024;
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = size,
            ClusterSize = clusterSize,
            Zoned = new ZonedCreateOptions { ZoneSize = zoneSize, ZoneCapacity = Math.Max(512, zoneSize / 4 * 3 / 512 * 512),
            ConventionalZones = 1 },
        });
        var model = new byte[size];
        for (int session = 0; session < 3; session++)
        {
            await using var disk = await Open(storage);
            for (int i = 0; i < 200; i++)
            {
                await Step(disk, model, random);
            }

            var all = new byte[size];
            await disk.ReadAsync(0, all);
            int at = all.AsSpan().CommonPrefixLength(model);
            Assert.True(at == all.Length, $"seed {seed}: byte {at} differs");
        }
    }

    private static async Task Step(IBlockDevice disk, byte[] model, Random random)
    {
        var zones = await Report(disk, 100);
        var zone = zones[random.Next(zones.Length)];
        switch (random.Next(12))
        {
            case 0 when zone.Type != ZoneType.Conventional:
                await disk.Zones!.ManageAsync(ZoneAction.Reset, zone.Start, zone.Length);
                model.AsSpan((int)zone.Start, (int)zone.Length).Clear();
                break;
            case 1 when zone.Type != ZoneType.Conventional && random.Next(4) == 0:
                await disk.Zones!.ManageAsync(ZoneAction.Finish, zone.Start, zone.Length);
                break;
            case 2:
                await disk.FlushAsync();
                break;
            default:
                bool conventional = zone.Type == ZoneType.Conventional;
                long end = zone.Start + zone.Capacity;
                long at = conventional ? zone.Start : zone.WritePointer;
                long room = end - at;
                if (room < 512)
                {
                    break;
                }

                int length = (int)Math.Min(room, (random.Next(300000) + 512) / 512 * 512);
                var data = Data(length, (byte)random.Next(1, 256));
                await disk.WriteAsync(at, data);
                data.CopyTo(model, at);
                break;
        }
    }

    private static byte[] Data(int length, byte value)
    {
        var data = new byte[length];
        Array.Fill(data, value);
        return data;
    }

    private static async Task<KeptStorage> Make(int zones, uint open = 0, uint active = 0)
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = (long)zones * Zone,
            Zoned = new ZonedCreateOptions { ZoneSize = Zone, MaxOpenZones = open, MaxActiveZones = active },
        });
        return storage;
    }

    private static async Task<IBlockDevice> Open(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());

    private static async Task<ZoneDescriptor[]> Report(IBlockDevice disk, int count)
    {
        var zones = new ZoneDescriptor[count];
        return zones[..await disk.Zones!.ReportAsync(0, zones)];
    }

    private static async Task<ZoneCondition[]> Conditions(IBlockDevice disk, int count)
        => [.. (await Report(disk, count)).Select(static z => z.Condition)];
}
