using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Bitmaps;

/// <summary>Bitmaps of an image over sessions that end in order, by a crash, or with a full storage.</summary>
public class PersistentBitmapTests
{
    private const int Size = 4 << 20, Granularity = 4096;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public async Task Every_kind_of_change_has_its_bit_in_the_next_session(int clusterSize)
    {
        var storage = await CreateAsync(clusterSize);
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(10_000, new byte[100], cancellationToken: Stop);
            await image.WriteZeroesAsync(1 << 20, 65536, cancellationToken: Stop);
            await image.WriteZeroesAsync((1 << 20) + 200_000, 1, ZeroFlags.MayUnmap, Stop);
            await image.DiscardAsync(2 << 20, 131072, Stop);
            await image.WriteCompressedAsync(3 << 20, new byte[65536], Stop);
        }

        await using var next = await OpenAsync(storage);
        Assert.Equal(
            [(8192, 4096), (1 << 20, 65536), ((1 << 20) + 196608, 4096), (2 << 20, 131072), (3 << 20, 65536)],
            Runs(await next.Bitmaps.OpenAsync("b", Stop)));
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Disabled_bitmap_records_nothing_and_stays_as_it_was()
    {
        var storage = await CreateAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(0, new byte[1], cancellationToken: Stop);
            await image.Bitmaps.SetEnabledAsync("b", enabled: false, Stop);
            await image.WriteAsync(1 << 20, new byte[1], cancellationToken: Stop);
        }

        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(2 << 20, new byte[1], cancellationToken: Stop);
            await image.Bitmaps.SetEnabledAsync("b", enabled: true, Stop);
            await image.WriteAsync(3 << 20, new byte[1], cancellationToken: Stop);
        }

        await using var next = await OpenAsync(storage);
        Assert.Equal([(0, 4096), (3 << 20, 4096)], Runs(await next.Bitmaps.OpenAsync("b", Stop)));
    }

    [Fact]
    public async Task Program_that_ends_without_closing_leaves_an_inconsistent_bitmap_that_can_only_be_removed()
    {
        var storage = await CreateAsync();
        var image = await OpenAsync(storage);
        await image.WriteAsync(0, new byte[1], cancellationToken: Stop);
        await image.FlushAsync(Stop);
        var crashed = new KeptStorage(await CopyAsync(storage));
        await image.DisposeAsync();
        await using (var next = await OpenAsync(crashed))
        {
            Assert.Equal(new Qcow2BitmapInfo("b", Granularity, true, true), Assert.Single(next.Bitmaps.List));
            foreach (var use in new Func<Task>[]
            {
                () => next.Bitmaps.ClearAsync("b", Stop).AsTask(), () => next.Bitmaps.OpenAsync("b", Stop).AsTask(),
                () => next.Bitmaps.SetEnabledAsync("b", true, Stop).AsTask(),
                () => next.ResizeAsync(Size * 2, cancellationToken: Stop).AsTask(),
            })
            {
                Assert.Contains("is inconsistent", (await Assert.ThrowsAsync<BlockException>(use)).Message, StringComparison.Ordinal);
            }

            await next.Bitmaps.RemoveAsync("b", Stop);
            Assert.Empty(next.Bitmaps.List);
        }

        await AssertSoundAsync(crashed);
    }

    [Fact]
    public async Task Session_without_a_change_writes_nothing()
    {
        var storage = await CreateAsync();
        byte[] before = await ReadAllAsync(storage);
        await using (var image = await OpenAsync(storage))
        {
            await image.ReadAsync(0, new byte[512], Stop);
            Assert.Empty(Runs(await image.Bitmaps.OpenAsync("b", Stop)));
        }

        Assert.Equal(before, await ReadAllAsync(storage));
    }

    [Fact]
    public async Task Bits_that_are_taken_are_in_one_of_the_two_bitmaps()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        await image.WriteAsync(0, new byte[1], cancellationToken: Stop);
        var taken = await image.Bitmaps.TakeAsync("b", Stop);
        await image.WriteAsync(1 << 20, new byte[1], cancellationToken: Stop);
        Assert.Equal([(0, 4096)], Runs(taken));
        Assert.Equal([(1 << 20, 4096)], Runs(await image.Bitmaps.OpenAsync("b", Stop)));
        await image.Bitmaps.MergeAsync("b", taken, Stop);
        Assert.Equal([(0, 4096), (1 << 20, 4096)], Runs(await image.Bitmaps.OpenAsync("b", Stop)));
    }

    [Fact]
    public async Task Size_that_changes_takes_the_bitmaps_along()
    {
        var storage = await CreateAsync(512);
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(Size - 1, new byte[1], cancellationToken: Stop);
            await image.ResizeAsync(Size * 8, cancellationToken: Stop);
            await image.ResizeAsync(Size / 2, cancellationToken: Stop);
            await image.ResizeAsync(Size, cancellationToken: Stop);
        }

        await using var next = await OpenAsync(storage);
        Assert.Equal([(Size / 2, Size / 2)], Runs(await next.Bitmaps.OpenAsync("b", Stop)));
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Size_that_a_bitmap_cannot_follow_is_refused()
    {
        var storage = await CreateAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.Bitmaps.AddAsync("fine", 512, Stop);
            foreach (long size in new[] { 0, 1L << 42, 1L << 50 })
            {
                var refusal = await Assert.ThrowsAsync<BlockException>(() => image.ResizeAsync(size, cancellationToken: Stop).AsTask());
                Assert.Contains(size == 1L << 42 ? "bitmap 'fine'" : "bitmap 'b'", refusal.Message, StringComparison.Ordinal);
            }

            Assert.Equal(Size, image.Length);
        }

        await using var next = await OpenAsync(storage);
        Assert.Equal(2, next.Bitmaps.List.Count);
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Bitmaps_that_were_removed_take_no_memory_from_others()
    {
        // 512 MiB of bits each
        const long Large = 1L << 41;
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Large }, Stop);
        await using var image = await OpenAsync(storage);
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 4; i++)
            {
                await image.Bitmaps.AddAsync($"b{i}", 512, Stop);
            }

            var refusal = await Assert.ThrowsAsync<BlockException>(() => image.Bitmaps.AddAsync("more", 512, Stop).AsTask());
            Assert.Equal(BlockError.TooLarge, refusal.Error);
            await image.ResizeAsync(Large / 2, cancellationToken: Stop);
            await image.Bitmaps.AddAsync("fits", 512, Stop);
            foreach (var bitmap in image.Bitmaps.List)
            {
                await image.Bitmaps.RemoveAsync(bitmap.Name, Stop);
            }

            await image.ResizeAsync(Large, cancellationToken: Stop);
        }
    }

    [Fact]
    public async Task Disk_without_bytes_takes_no_bitmap()
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 0 }, Stop);
        await using (var image = await OpenAsync(storage))
        {
            var refusal = await Assert.ThrowsAsync<BlockException>(() => image.Bitmaps.AddAsync("b", Granularity, Stop).AsTask());
            Assert.EndsWith("A disk of 0 bytes has no bitmap", refusal.Message, StringComparison.Ordinal);
        }

        await using var next = await OpenAsync(storage);
        Assert.False(next.Info.Corrupt);
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Failure_to_close_an_image_without_bitmaps_is_not_reported_as_bitmaps_lost()
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Size }, Stop);
        var image = await OpenAsync(storage);
        await image.WriteAsync(0, new byte[] { 7 }, cancellationToken: Stop);
        storage.FailIn = 0;
        var failure = await Assert.ThrowsAsync<BlockException>(async () => await image.DisposeAsync());
        Assert.DoesNotContain("bitmaps", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failure_to_store_bitmaps_leaves_a_sound_image_with_all_data()
    {
        for (int failIn = 0; ; failIn++)
        {
            var storage = new KeptStorage(await CopyAsync(await CreateAsync()));
            var image = await OpenAsync(storage);
            await image.WriteAsync(12345, new byte[] { 7 }, cancellationToken: Stop);
            await image.FlushAsync(Stop);
            storage.FailIn = failIn;
            var failure = await Record.ExceptionAsync(async () => await image.DisposeAsync());
            storage.FailIn = -1;
            await AssertSoundAsync(storage, mayLeak: true);
            await using var next = await OpenAsync(storage);
            var read = new byte[1];
            await next.ReadAsync(12345, read, Stop);
            Assert.Equal(7, read[0]);
            var info = Assert.Single(next.Bitmaps.List);
            if (!info.InUse)
            {
                Assert.Equal([(12288, 4096)], Runs(await next.Bitmaps.OpenAsync("b", Stop)));
            }

            if (failure is null)
            {
                Assert.True(failIn > 5 && !info.InUse);
                return;
            }
        }
    }

    [Fact]
    public async Task Random_bytes_in_directory_and_tables_are_rejected_or_read_without_harm()
    {
        var random = new Random(TestSeed.Next());
        var sound = await CreateAsync(512);
        await using (var image = await OpenAsync(sound))
        {
            await image.Bitmaps.AddAsync("second", 512, Stop);
            await image.WriteAsync(0, new byte[70_000], cancellationToken: Stop);
        }

        byte[] bytes = await ReadAllAsync(sound);
        int directory = (int)System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(
            bytes.AsSpan(bytes.AsSpan().IndexOf<byte>([0x23, 0x85, 0x28, 0x75]) + 24));
        int table = (int)System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(directory));
        for (int i = 0; i < 400; i++)
        {
            var mutated = (byte[])bytes.Clone();
            int at = random.Next(3) switch { 0 => table, 1 => directory, _ => bytes.AsSpan().IndexOf<byte>([0x23, 0x85, 0x28, 0x75]) };
            for (int n = random.Next(1, 4); n > 0; n--)
            {
                mutated[at + random.Next(48)] = (byte)(random.Next(2) == 0 ? random.Next(256) : 1 << random.Next(8));
            }

            var storage = new MemoryStorage();
            await storage.WriteAsync(0, mutated, Stop);
            try
            {
                await using var image = await OpenAsync(storage);
                await image.WriteAsync(0, new byte[1], cancellationToken: Stop);
                foreach (var bitmap in image.Bitmaps.List.ToList())
                {
                    await image.Bitmaps.RemoveAsync(bitmap.Name, Stop);
                }
            }
            catch (BlockException)
            {
                // rejected by name
            }
        }
    }

    private static async Task<KeptStorage> CreateAsync(int clusterSize = 65536)
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Size, ClusterSize = clusterSize }, Stop);
        await using var image = await OpenAsync(storage);
        await image.Bitmaps.AddAsync("b", Granularity, Stop);
        return storage;
    }

    private static async Task<IQcow2Device> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), Stop);

    private static List<(long Offset, long Length)> Runs(IDirtyBitmap bitmap)
    {
        var list = new List<(long, long)>();
        for (long offset = 0; offset < bitmap.Length;)
        {
            var run = bitmap.Find(offset, bitmap.Length - offset);
            if (run.IsDirty)
            {
                list.Add((offset, run.Length));
            }

            offset += run.Length;
        }

        return list;
    }

    private static async Task<byte[]> ReadAllAsync(IStorage storage)
    {
        var bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes, Stop);
        return bytes;
    }

    private static async Task<MemoryStorage> CopyAsync(IStorage storage)
    {
        var copy = new MemoryStorage();
        await copy.WriteAsync(0, await ReadAllAsync(storage), Stop);
        return copy;
    }

    private static async Task AssertSoundAsync(IStorage storage, bool mayLeak = false)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add, cancellationToken: Stop);
        Assert.True(report.Corruptions == 0 && (mayLeak || report.Leaks == 0), string.Join('\n', lines));
        using var file = QemuImg.Save(storage);
        var (code, output) = QemuImg.Run("qemu-img", "check", file.Path);
        Assert.True(code == 0 || (mayLeak && code == 3), output);
    }
}
