using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>
/// The name of the backing file changes at once or not at all, wherever the power goes; an emptied image loses nothing else.
/// </summary>
public class BackingChangeTests
{
    private const int Size = 1 << 20, Cluster = 4096;

    [Theory]
    [InlineData(3, 65536)]
    [InlineData(3, 8192)]
    [InlineData(3, 4096)]
    [InlineData(3, 512)]
    [InlineData(2, 65536)]
    [InlineData(2, 1024)]
    public async Task Power_cut_leaves_old_or_new_name_and_format(int version, int cluster)
    {
        (string? Name, string? Format)[] names =
        [
            ("base", "qcow2"), ("base", "raw"), (null, null), (new string('x', 200), "qcow2"), ("a/b", null), ("host", "host_device"),
            (new string('y', 150), "raw"), (null, null), ("base", "qcow2"),
        ];
        var disk = new CrashStorage(await CreateAsync(version, cluster));
        var device = await OpenAsync(disk);
        await device.WriteAsync(0, new byte[] { 1, 2, 3 });
        await device.FlushAsync();
        int from = disk.Log.Count;
        var marks = new List<(int Position, string State)> { (from, State(device)) };
        foreach (var (name, format) in names)
        {
            await device.SetBackingFileAsync(name, format);
            Assert.Equal((name, format), (device.Info.BackingFile, device.Info.BackingFormat));
            marks.Add((disk.Log.Count, State(device)));
        }

        await device.DisposeAsync();
        var cut = new PowerCut(disk.Log);
        int step = 0;
        for (int position = from; position <= disk.Log.Count; position++)
        {
            while (step + 1 < marks.Count && marks[step + 1].Position <= position)
            {
                step++;
            }

            for (int seed = 0; seed < 8; seed++)
            {
                var after = cut.At(position, (position * 8) + seed);
                Assert.True((await Qcow2Image.CheckAsync(after, Qcow2Repair.None)).Corruptions == 0);
                await using var again = await OpenAsync(after);
                Assert.Contains(State(again), marks.Skip(step).Take(2).Select(static m => m.State));
                var bytes = new byte[3];
                await again.ReadAsync(0, bytes);
                Assert.Equal([1, 2, 3], bytes);
            }
        }
    }

    [Fact]
    public async Task Header_is_laid_out_as_QEMU_lays_it_out()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Size, BackingFile = "a longer name", BackingFormat = "raw" });
        await using (var device = await OpenAsync(storage))
        {
            await device.SetBackingFileAsync("base", "qcow2");
        }

        var made = new PagedStorage();
        await Qcow2Image.CreateAsync(made, new Qcow2CreateOptions { Size = Size, BackingFile = "base", BackingFormat = "qcow2" });
        byte[] expected = new byte[1024], found = new byte[1024];
        made.Read(0, expected);
        storage.Read(0, found);
        Assert.Equal(expected, found);
    }

    [Fact]
    public async Task Unknown_extension_and_longer_header_are_kept()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Size });
        var header = new byte[256];
        storage.Read(0, header);
        header[103] = 120;
        header.AsSpan(112, 144).Clear();
        header[119] = 77;
        HeaderExtension.WriteAll([new HeaderExtension(0x12345678, [1, 2, 3])], header.AsSpan(120));
        await storage.WriteAsync(0, header);
        await using (var device = await OpenAsync(storage))
        {
            await device.SetBackingFileAsync("base", "qcow2");
        }

        storage.Read(0, header);
        Assert.Equal((120, 77), (header[103], header[119]));
        var extensions = HeaderExtension.ParseAll(header.AsSpan(120, 100));
        Assert.Equal([HeaderExtension.BackingFormat, 0x12345678], extensions.Select(static e => e.Type));
        Assert.Equal([1, 2, 3], extensions[1].Data);
    }

    [Fact]
    public async Task Name_that_does_not_fit_is_refused_and_changes_nothing()
    {
        var disk = new CrashStorage(await CreateAsync(3, 512));
        await using var device = await OpenAsync(disk);
        await device.SetBackingFileAsync("base", "qcow2");
        int changes = disk.Log.Count;
        Assert.Equal(BlockError.NoSpace, (await RefusedAsync(device, new string('x', 500), "qcow2")).Error);
        Assert.Equal(BlockError.InvalidArgument, (await RefusedAsync(device, new string('x', 1024), "qcow2")).Error);
        Assert.Equal(BlockError.InvalidArgument, (await RefusedAsync(device, "base", new string('x', 16))).Error);
        Assert.Equal(("base", "qcow2"), (device.Info.BackingFile, device.Info.BackingFormat));
        Assert.All(
            Enumerable.Range(changes, disk.Log.Count - changes), i => Assert.Equal(StorageStep.Sync, disk.Log[i].Step));
    }

    [Theory]
    [InlineData(2, false)]
    [InlineData(3, false)]
    [InlineData(3, true)]
    public async Task Power_cut_while_emptying_leaves_each_cluster_as_it_was_or_empty(int version, bool lazy)
    {
        var disk = new CrashStorage(await CreateAsync(version, Cluster, lazy));
        await using (var device = await OpenAsync(disk, Backing()))
        {
            for (int i = 0; i < Size / Cluster; i += 3)
            {
                await device.WriteAsync(i * Cluster, Filled(Cluster, 1));
            }

            await device.FlushAsync();
        }

        int from = disk.Log.Count;
        await using (var device = await OpenAsync(disk, Backing()))
        {
            await device.EmptyAsync();
            await ReadsAsync(device, allowed: [2]);
        }

        var cut = new PowerCut(disk.Log);
        for (int position = from; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 4; seed++)
            {
                var after = cut.At(position, (position * 4) + seed);
                await using (var again = await OpenAsync(after, Backing()))
                {
                    await ReadsAsync(again, position == disk.Log.Count ? [2] : [1, 2]);
                    await again.WriteAsync(0, Filled(512, 1));
                }

                var report = await Qcow2Image.CheckAsync(after, Qcow2Repair.None);
                Assert.Equal(0, report.Corruptions);
            }
        }
    }

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public async Task Emptied_image_is_as_long_as_a_new_one(int cluster)
    {
        var storage = await CreateAsync(3, cluster);
        long length = (storage.Length + cluster - 1) / cluster * cluster;
        await using (var device = await OpenAsync(storage, Backing()))
        {
            await device.WriteAsync(0, Filled(Size, 1));
            await device.EmptyAsync();
            Assert.Equal(
                BlockError.NoMedium,
                (await Assert.ThrowsAsync<BlockException>(() => device.WriteAsync(0, new byte[512]).AsTask())).Error);
        }

        Assert.True(storage.Length <= length, $"{storage.Length} bytes, and {length} when it was new");
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None);
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
        await using var again = await OpenAsync(storage, Backing());
        await ReadsAsync(again, allowed: [2]);
    }

    [Fact]
    public async Task Failure_at_each_change_of_emptying_leaves_an_image_that_opens()
    {
        for (int failing = 1; ; failing++)
        {
            var disk = new CrashStorage(await CreateAsync(3, Cluster)) { FlushFailureLoses = false };
            bool hasFailed = false;
            await using (var device = await OpenAsync(disk, Backing()))
            {
                await device.WriteAsync(0, Filled(Size / 2, 1));
                await device.FlushAsync();
                disk.FailChange = disk.Changes + failing;
                try
                {
                    await device.EmptyAsync();
                }
                catch (BlockException)
                {
                    hasFailed = true;
                }
            }

            await using (var again = await OpenAsync(disk.Live, Backing()))
            {
                await ReadsAsync(again, hasFailed ? [1, 2] : [2]);
            }

            Assert.Equal(0, (await Qcow2Image.CheckAsync(disk.Live, Qcow2Repair.None)).Corruptions);
            if (!hasFailed)
            {
                Assert.True(failing > 5);
                return;
            }
        }
    }

    [Fact]
    public async Task Failure_while_an_image_with_a_data_file_is_emptied_leaves_data_or_the_backing_file()
    {
        for (int failing = 0, failures = 1; failures > 0; failing++)
        {
            failures = 0;
            var image = new PagedStorage();
            var data = new PagedStorage();
            await Qcow2Image.CreateAsync(
                image, data, new Qcow2CreateOptions { Size = Size, BackingFile = "first", BackingFormat = "raw", DataFile = "data" });
            await using (var device = await OpenAsync(image.Kept(), Backing(), data.Kept()))
            {
                await device.WriteAsync(0, Filled(Size, 1));
            }

            try
            {
                var dying = new FailingStorage(image, FailureMode.ForGood, failing);
                await using var device = await OpenAsync(dying, Backing(), data.Kept());
                await device.EmptyAsync();
            }
            catch (BlockException)
            {
                failures++;
            }

            await using var again = await OpenAsync(image.Kept(), Backing(), data.Kept());
            await ReadsAsync(again, failures > 0 ? [1, 2] : [2]);
        }
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private static RawDevice Backing()
    {
        var disk = MemoryDisk.Of(Size);
        disk.WriteAsync(0, Filled(Size, 2)).AsTask().Wait();
        return disk;
    }

    private static string State(IQcow2Device device) => $"{device.Info.BackingFile} {device.Info.BackingFormat}";

    private static async Task<BlockException> RefusedAsync(IQcow2Device device, string name, string format)
        => await Assert.ThrowsAsync<BlockException>(() => device.SetBackingFileAsync(name, format).AsTask());

    private static async Task ReadsAsync(IBlockDevice device, byte[] allowed)
    {
        var bytes = new byte[Size];
        await device.ReadAsync(0, bytes);
        for (int at = 0; at < Size; at += Cluster)
        {
            Assert.Contains(bytes[at + 1000], allowed);
            Assert.DoesNotContain(bytes.AsSpan(at, Cluster).ToArray(), b => !allowed.Contains(b));
        }
    }

    private static async Task<PagedStorage> CreateAsync(int version, int cluster, bool lazy = false)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(
            storage,
            new Qcow2CreateOptions
            {
                Size = Size, Version = version, ClusterSize = cluster, LazyRefcounts = lazy, BackingFile = "first", BackingFormat = "raw",
            });
        return storage;
    }

    private static ValueTask<IQcow2Device> OpenAsync(IStorage storage, IBlockDevice? backing = null, IStorage? data = null)
        => Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { Gate = new Gate(backing), DataFile = data });

    private sealed class Gate(IBlockDevice? device) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken) => new(device);
    }
}
