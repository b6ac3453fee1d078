using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>
/// What the one-shot commands do to an image, with each storage call failing in turn, in each way: the image is sound afterwards, and the
/// old or the new one. Resize: <see cref="Engine.ResizeTests"/>.
/// </summary>
public class CommandFailureTests
{
    private const int Cluster = 4096, Zone = 64 << 10;

    public static TheoryData<FailureMode> Modes => [.. Enum.GetValues<FailureMode>()];

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Interrupted_create_leaves_an_empty_image_or_no_image(FailureMode mode)
    {
        int made = 0;
        foreach (var preallocation in new[] { Preallocation.Off, Preallocation.Metadata, Preallocation.Full })
        {
            await EachCallAsync(mode, static () => Task.FromResult(new PagedStorage()), async storage =>
            {
                var options = new Qcow2CreateOptions { Size = 300 << 10, ClusterSize = Cluster, Preallocation = preallocation };
                await Qcow2Image.CreateAsync(storage, options);
            }, async storage =>
            {
                if (await Qcow2Image.ProbeAsync(storage))
                {
                    made++;
                    await AssertSoundAsync(storage);
                    Assert.Equal(-1, (await ReadAsync(storage)).AsSpan().IndexOfAnyExcept((byte)0));
                }
            });
        }

        Assert.True(made > 3);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Interrupted_convert_leaves_written_data_or_zeroes(FailureMode mode)
    {
        var data = new byte[40 * Cluster];
        new Random(5).NextBytes(data.AsSpan(0, 20 * Cluster));
        data.AsSpan(20 * Cluster).Fill(3);
        await EachCallAsync(mode, static () => Task.FromResult(new PagedStorage()), async storage =>
        {
            await Qcow2Image.CreateAsync(storage, new() { Size = data.Length, ClusterSize = Cluster });
            await using var image = await Qcow2Image.OpenAsync(storage, new());
            await image.WriteAsync(0, data.AsMemory(0, 30 * Cluster));
            for (int at = 30 * Cluster; at < data.Length; at += Cluster)
            {
                await image.WriteCompressedAsync(at, data.AsMemory(at, Cluster));
            }

            await image.FlushAsync();
        }, async storage =>
        {
            if (await Qcow2Image.ProbeAsync(storage))
            {
                await AssertSoundAsync(storage);
                var read = await ReadAsync(storage);
                for (int at = 0; at < read.Length; at += Cluster)
                {
                    var cluster = read.AsSpan(at, Cluster);
                    Assert.True(cluster.SequenceEqual(data.AsSpan(at, Cluster))
                        || cluster.IndexOfAnyExcept((byte)0) < 0, $"cluster at {at}");
                }
            }
        });
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Check_with_repair_can_be_done_again_and_changes_no_data(FailureMode mode)
    {
        byte[] before = [];
        await EachCallAsync(mode, async () =>
        {
            var storage = await BrokenAsync();
            before = await ReadAsync(storage);
            return storage;
        }, async storage => await Qcow2Image.CheckAsync(storage, Qcow2Repair.All), async storage =>
        {
            Assert.Equal(before, await ReadAsync(storage));
            await Qcow2Image.CheckAsync(storage, Qcow2Repair.All);
            await AssertSoundAsync(storage, leaks: 0);
            Assert.Equal(before, await ReadAsync(storage));
        });
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Interrupted_zoned_resize_leaves_old_or_new_zones(FailureMode mode)
    {
        foreach (int after in new[] { 3, 70 })
        {
            var sizes = new HashSet<long>();
            await EachCallAsync(mode, ZonedAsync, async storage =>
            {
                await using var disk = await Qcow2Image.OpenAsync(storage, new());
                await disk.ResizeAsync((long)after * Zone, after > 8 ? Preallocation.Metadata : Preallocation.Off);
            }, async storage =>
            {
                await AssertSoundAsync(storage);
                await using var disk = await Qcow2Image.OpenAsync(storage.Kept(), new());
                int zones = (int)(disk.Length / Zone);
                sizes.Add(zones);
                await AssertZonesAsync(disk, zones);
            });
            Assert.Equal(new long[] { 8, after }.Order(), sizes.Order());
        }
    }

    [Theory]
    [InlineData(3, 17)]
    [InlineData(9, 18)]
    [InlineData(70, 19)]
    public async Task Power_cut_during_zoned_resize_leaves_old_or_new_zones(int after, int seed)
    {
        var disk = new CrashStorage(await ZonedAsync());
        await using (var device = await Qcow2Image.OpenAsync(disk, new()))
        {
            await device.ResizeAsync((long)after * Zone);
        }

        var sizes = new HashSet<long>();
        var cut = new PowerCut(disk.Log);
        for (int position = 0; position <= disk.Log.Count; position++)
        {
            for (int i = 0; i < 10; i++)
            {
                var image = cut.At(position, seed + i);
                await AssertSoundAsync(image);
                await using var device = await Qcow2Image.OpenAsync(image, new());
                int zones = (int)(device.Length / Zone);
                sizes.Add(zones);
                await AssertZonesAsync(device, zones);
            }
        }

        Assert.Equal(new long[] { 8, after }.Order(), sizes.Order());
    }

    private static async Task AssertZonesAsync(IBlockDevice disk, int zones)
    {
        var report = new ZoneDescriptor[zones];
        Assert.Equal(zones, await disk.Zones!.ReportAsync(0, report));
        for (int i = 0; i < zones; i++)
        {
            int written = i < 3 ? 5000 / 512 * 512 : 0;
            Assert.Equal(((long)i * Zone) + written, report[i].WritePointer);
            var read = new byte[Zone];
            await disk.ReadAsync((long)i * Zone, read);
            Assert.Equal(-1, read.AsSpan(0, written).IndexOfAnyExcept((byte)(i + 1)));
            Assert.Equal(-1, read.AsSpan(written).IndexOfAnyExcept((byte)0));
        }
    }

    private static async Task<PagedStorage> ZonedAsync()
    {
        var storage = new PagedStorage();
        var options = new Qcow2CreateOptions { Size = 8 * Zone, ClusterSize = 512, Zoned = new ZonedCreateOptions { ZoneSize = Zone } };
        await Qcow2Image.CreateAsync(storage, options);
        await using var disk = await Qcow2Image.OpenAsync(storage.Kept(), new());
        for (int i = 0; i < 3; i++)
        {
            var data = new byte[5000 / 512 * 512];
            data.AsSpan().Fill((byte)(i + 1));
            await disk.WriteAsync((long)i * Zone, data);
        }

        return storage;
    }

    // a leak, a cluster that is counted as free, a missing COPIED flag, an unknown autoclear bit
    private static async Task<PagedStorage> BrokenAsync()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 40 * Cluster, ClusterSize = Cluster });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            var data = new byte[20 * Cluster];
            new Random(3).NextBytes(data);
            await image.WriteAsync(0, data);
        }

        long Read64(long at)
        {
            var bytes = new byte[8];
            storage.Read(at, bytes);
            return BinaryPrimitives.ReadInt64BigEndian(bytes);
        }

        long l2 = Read64(Read64(40)) & 0x00ff_ffff_ffff_fe00, block = Read64(Read64(48));
        long entry = Read64(l2 + 24);
        var field = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(field, entry & long.MaxValue);
        storage.Write(l2 + 24, field);
        storage.Write(block + ((Read64(l2 + 40) & 0x00ff_ffff_ffff_fe00) / Cluster * 2), [0, 0]);
        storage.Write(block + 400, [0, 1]);
        storage.Write(88, [0x80]);
        storage.SetLength(Math.Max(storage.Length, 201 * Cluster));
        return storage;
    }

    private static async Task EachCallAsync(
        FailureMode mode, Func<Task<PagedStorage>> start, Func<IStorage, Task> command, Func<PagedStorage, Task> check)
    {
        bool failed = true;
        for (int call = 0; failed; call++)
        {
            var storage = await start();
            var failing = new FailingStorage(storage, mode, call);
            var error = await Record.ExceptionAsync(() => command(failing));
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;
            Assert.True(failed || error is null, $"{error}");
            await check(storage);
        }
    }

    private static async Task<byte[]> ReadAsync(PagedStorage storage)
    {
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new() { ReadOnly = true });
        var bytes = new byte[image.Length];
        await image.ReadAsync(0, bytes);
        return bytes;
    }

    private static async Task AssertSoundAsync(IStorage storage, int leaks = int.MaxValue)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && report.Leaks <= leaks, string.Join("\n", lines));
    }
}
