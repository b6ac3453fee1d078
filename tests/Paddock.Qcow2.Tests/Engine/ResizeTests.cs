using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Posix;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>
/// Disks that grow and shrink: what is new reads as zeroes, what was there stays, and space is taken and freed as asked for.
/// </summary>
public class ResizeTests
{
    private const int VirtualSizeField = 24;

    [Theory]
    [InlineData(65536, 70 << 10, 128 << 10)]
    [InlineData(65536, 65536 + 512, 300 << 10)]
    [InlineData(512, 5120, 5632)]
    [InlineData(4096, 4608, 1 << 20)]
    public async Task Growth_over_leftovers_of_another_program_reads_as_zeroes(int cluster, long cut, long grown)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = grown, ClusterSize = cluster });
        var data = Bytes(0xeb, (int)Math.Min(grown, 256 << 10));
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
        }

        // as a program does that cuts the size and keeps the bytes
        var field = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(field, cut);
        storage.Write(VirtualSizeField, field);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.ResizeAsync(grown);
            var read = await ReadAsync(image);
            Assert.Equal(data[..(int)cut], read[..(int)cut]);
            Assert.Equal(-1, read.AsSpan((int)cut).IndexOfAnyExcept((byte)0));
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [InlineData(2, Preallocation.Off)]
    [InlineData(3, Preallocation.Off)]
    [InlineData(2, Preallocation.Metadata)]
    [InlineData(3, Preallocation.Metadata)]
    [InlineData(3, Preallocation.Falloc)]
    [InlineData(3, Preallocation.Full)]
    public async Task Growing_keeps_the_backing_files_data_below_the_old_end_and_hides_those_above(int version, Preallocation preallocation)
    {
        const int old = 100352, grown = 1 << 20;
        var storage = await OverlayAsync(old, version);
        await using (var image = await OpenOverlayAsync(storage.Kept()))
        {
            await image.ResizeAsync(grown, preallocation);
            AssertGrown(await ReadAsync(image), old);
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [InlineData(2, Preallocation.Off)]
    [InlineData(3, Preallocation.Off)]
    [InlineData(3, Preallocation.Metadata)]
    [InlineData(2, Preallocation.Full)]
    public async Task Failed_growth_leaves_the_old_size_or_zeroes(int version, Preallocation preallocation)
    {
        const int old = 9728, grown = 70144;
        var sizes = new HashSet<long>();
        foreach (var mode in Enum.GetValues<FailureMode>())
        {
            bool failed = true;
            for (int call = 0; failed; call++)
            {
                var storage = await OverlayAsync(old, version, cluster: 4096);
                failed = await RunFailingAsync(storage, mode, call, async failing =>
                {
                    await using var image = await OpenOverlayAsync(failing);
                    await image.ResizeAsync(grown, preallocation);
                });
                await AssertSoundAsync(storage, leaks: int.MaxValue);
                await using var after = await OpenOverlayAsync(storage.Kept());
                sizes.Add(after.Length);
                AssertGrown(await ReadAsync(after), old);

                // nor does what the failure left show when the disk grows after all
                await after.ResizeAsync(grown + 5120);
                AssertGrown(await ReadAsync(after), old);
            }
        }

        Assert.Equal([old, grown], sizes.Order());
    }

    [Fact]
    public async Task Open_image_stays_sound_after_a_failed_shrink()
    {
        const int size = 160 << 10;
        var data = Bytes(11, size);
        bool failed = true;
        for (int change = 1; failed; change++)
        {
            var start = new PagedStorage();
            await Qcow2Image.CreateAsync(start, new Qcow2CreateOptions { Size = size, ClusterSize = 512, RefcountBits = 64 });
            var disk = new CrashStorage(start, faultSeed: 1) { FaultsMayTakeEffect = true };
            await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions()))
            {
                await image.WriteAsync(0, data);
                await image.FlushAsync();
                disk.FailChange = disk.Changes + change;
                var error = await Record.ExceptionAsync(() => image.ResizeAsync(4096).AsTask());
                Assert.True(error is null or BlockException, $"change {change}: {error}");
                failed = disk.Faults > 0;
                disk.FailChange = 0;
                await image.ResizeAsync(size);
                await image.WriteAsync(0, data);
            }

            await AssertSoundAsync(disk.Live, leaks: int.MaxValue);
            await using var after = await Qcow2Image.OpenAsync(disk.Live, new Qcow2OpenOptions { ReadOnly = true });
            Assert.Equal(data, await ReadAsync(after));
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Failed_shrink_leaves_the_old_or_the_new_disk(int version)
    {
        const int old = 270848, cut = 4608;
        var sizes = new HashSet<long>();
        foreach (var mode in Enum.GetValues<FailureMode>())
        {
            bool failed = true;
            for (int call = 0; failed; call++)
            {
                var storage = await OverlayAsync(old, version, cluster: 512);
                var data = Bytes(7, old);
                await using (var image = await OpenOverlayAsync(storage.Kept()))
                {
                    await image.WriteAsync(0, data);
                }

                failed = await RunFailingAsync(storage, mode, call, async failing =>
                {
                    await using var image = await OpenOverlayAsync(failing);
                    await image.ResizeAsync(cut);
                });
                await AssertSoundAsync(storage, leaks: int.MaxValue);
                await using var after = await OpenOverlayAsync(storage.Kept());
                sizes.Add(after.Length);
                Assert.Equal(data[..(int)after.Length], await ReadAsync(after));
            }
        }

        Assert.Equal([cut, old], sizes.Order());
    }

    [Theory]
    [InlineData(65536, 16)]
    [InlineData(4096, 64)]
    [InlineData(512, 16)]
    public async Task Preallocation_that_exceeds_the_largest_file_leaves_the_old_disk_and_no_reference_behind_the_files_end(
        int cluster, int bits)
    {
        foreach (var preallocation in new[] { Preallocation.Metadata, Preallocation.Falloc, Preallocation.Full })
        {
            var storage = new PagedStorage { MaxLength = 6 << 20 };
            await Qcow2Image.CreateAsync(storage, new() { Size = 1 << 20, ClusterSize = cluster, RefcountBits = bits });
            await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
            {
                await image.WriteAsync(0, Bytes(1, 5000));
                await Assert.ThrowsAsync<BlockException>(() => image.ResizeAsync(32 << 20, preallocation).AsTask());
                Assert.Equal(1 << 20, image.Length);
                await image.WriteAsync(500_000, Bytes(2, 5000));
            }

            await AssertSoundAsync(storage);
        }
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(65536)]
    public async Task Falloc_and_full_reserve_the_whole_growth(int cluster)
    {
        foreach (var preallocation in new[] { Preallocation.Falloc, Preallocation.Full })
        {
            string path = Path.GetTempFileName();
            try
            {
                const long grown = 24 << 20;
                await using var file = FileStorage.Open(new FileOpenOptions { Path = path });
                await Qcow2Image.CreateAsync(file, new() { Size = 1 << 20, ClusterSize = cluster });
                await using (var image = await Qcow2Image.OpenAsync(new KeptStorage(file), new()))
                {
                    await image.ResizeAsync(grown, preallocation);
                }

                Assert.InRange(file.AllocatedBytes, grown - (1 << 20), grown * 5 / 4);
                await AssertSoundAsync(file);
            }
            finally
            {
                File.Delete(path);
            }
        }
    }

    [Theory]
    [InlineData(512, 16)]
    [InlineData(512, 64)]
    [InlineData(4096, 64)]
    [InlineData(65536, 16)]
    public async Task Shrinking_cuts_the_file_and_removes_empty_refcount_blocks(int cluster, int bits)
    {
        const int size = 5 << 20, cut = 100352;
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = size, ClusterSize = cluster, RefcountBits = bits });
        var data = new byte[size];
        new Random(cluster).NextBytes(data);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.FlushAsync();
            Assert.True(storage.Length > size);
            await image.ResizeAsync(cut);

            // what is left, and its tables
            Assert.InRange(storage.Length, cut, cut + (200 * 512) + (8 * cluster));
            await image.ResizeAsync(size);
            var read = await ReadAsync(image);
            Assert.Equal(data[..cut], read[..cut]);
            Assert.Equal(-1, read.AsSpan(cut).IndexOfAnyExcept((byte)0));

            // the clusters behind the cut are taken for zeroes again: partial writes must not show old bytes
            await image.WriteAsync(size - 1024, data.AsMemory(0, 512));
            Assert.Equal(data[..512], (await ReadAsync(image))[(size - 1024)..(size - 512)]);
            Assert.Equal(-1, (await ReadAsync(image)).AsSpan(size - 512).IndexOfAnyExcept((byte)0));
        }

        await AssertSoundAsync(storage);
    }

    private static byte[] Bytes(byte value, int count)
    {
        var bytes = new byte[count];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static void AssertGrown(byte[] disk, int old)
    {
        Assert.Equal(-1, disk.AsSpan(0, old).IndexOfAnyExcept((byte)'B'));
        Assert.Equal(-1, disk.AsSpan(old).IndexOfAnyExcept((byte)0));
    }

    private static async Task<bool> RunFailingAsync(PagedStorage storage, FailureMode mode, int call, Func<IStorage, Task> command)
    {
        var failing = new FailingStorage(storage, mode, call);
        var error = await Record.ExceptionAsync(() => command(failing));
        Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
        return failing.HasFailed;
    }

    private static async Task<PagedStorage> OverlayAsync(long size, int version, int cluster = 65536)
    {
        var storage = new PagedStorage();
        var options = new Qcow2CreateOptions { Size = size, Version = version, ClusterSize = cluster, BackingFile = "base",
            BackingFormat = "raw" };
        await Qcow2Image.CreateAsync(storage, options);
        return storage;
    }

    private static ValueTask<IQcow2Device> OpenOverlayAsync(IStorage storage)
        => Qcow2Image.OpenAsync(storage, new() { Gate = new LongBacking() });

    private static async Task<byte[]> ReadAsync(IBlockDevice device)
    {
        var bytes = new byte[device.Length];
        await device.ReadAsync(0, bytes);
        return bytes;
    }

    private static async Task AssertSoundAsync(IStorage storage, int leaks = 0)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && report.Leaks <= leaks, string.Join("\n", lines));
    }

    private sealed class LongBacking : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(string name, string? format, IStorage overlay, CancellationToken cancellationToken)
            => ValueTask.FromResult<IBlockDevice?>(new RawDevice(PagedStorage.From(Bytes((byte)'B', 2 << 20)), readOnly: true));
    }
}
