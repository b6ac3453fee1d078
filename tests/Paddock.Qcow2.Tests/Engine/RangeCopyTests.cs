using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Copies inside an image: what is shared, what is copied, what later writes do, and failures at every I/O.</summary>
public class RangeCopyTests
{
    private const int Size = 1 << 20, Cluster = 4096;

    public static TheoryData<FailureMode> Modes => [.. Enum.GetValues<FailureMode>()];

    [Theory]
    [InlineData(4096, 16, false)]
    [InlineData(512, 64, false)]
    [InlineData(65536, 2, false)]
    [InlineData(16384, 16, true)]
    public async Task Copy_of_aligned_clusters_takes_no_space(int cluster, int bits, bool extended)
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = cluster, RefcountBits = bits, ExtendedL2 = extended });
        var data = Bytes(1, Size / 2);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.WriteAsync(Size / 2, data.AsMemory(0, 512));
            await image.FlushAsync();
            long length = storage.Length;
            await image.RangeCopy!.CopyAsync(0, Size / 2, Size / 2);
            await image.FlushAsync();
            Assert.InRange(storage.Length, 0, length + (Size / 16));
            Assert.Equal(data, await ReadAsync(image, Size / 2, Size / 2));
            var (from, to) = (await image.GetStatusAsync(0, Size / 2), await image.GetStatusAsync(Size / 2, Size / 2));
            Assert.Equal(from.HostOffset, to.HostOffset);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Write_to_either_side_leaves_the_other_as_it_was()
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
        byte[] first = Bytes(1, 8 * Cluster), second = Bytes(2, Cluster);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, first);
            await image.RangeCopy!.CopyAsync(0, Size / 2, first.Length);
            await image.WriteAsync(100, second);
            await image.WriteAsync((Size / 2) + (4 * Cluster) + 7, second);
            Assert.Equal(first[..(4 * Cluster)], await ReadAsync(image, Size / 2, 4 * Cluster));
            Assert.Equal(first[(4 * Cluster)..], await ReadAsync(image, 4 * Cluster, 4 * Cluster));
        }

        await AssertSoundAsync(storage);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            // shares of an earlier session
            await image.DiscardAsync(2 * Cluster, Cluster);
            await image.WriteAsync((Size / 2) + (6 * Cluster), second);
            Assert.Equal(first[(2 * Cluster)..(3 * Cluster)], await ReadAsync(image, (Size / 2) + (2 * Cluster), Cluster));
            Assert.Equal(first[(6 * Cluster)..(7 * Cluster)], await ReadAsync(image, 6 * Cluster, Cluster));
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [InlineData(4096, false)]
    [InlineData(65536, false)]
    [InlineData(16384, true)]
    public async Task QEMU_reads_shared_clusters_and_copies_them_before_it_writes(int cluster, bool extended)
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = cluster, ExtendedL2 = extended });
        var data = Bytes(1, Size / 2);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.RangeCopy!.CopyAsync(0, Size / 2, Size / 2);
        }

        using var file = QemuImg.Save(storage);
        using var raw = new TemporaryFile();
        QemuImg.AssertClean(file.Path);
        Assert.Equal(0, QemuImg.Run("qemu-img", "convert", "-O", "raw", file.Path, raw.Path).Code);
        Assert.Equal([.. data, .. data], File.ReadAllBytes(raw.Path));
        var (code, output) = QemuImg.Run(
            "qemu-io", "-c", "write -P 7 100k 3k", "-c", $"write -P 8 {(Size / 2) + 4096} 128k", "-c", "discard 256k 64k", file.Path);
        Assert.True(code == 0, output);
        byte[] wanted = [.. data, .. data];
        wanted.AsSpan(100 << 10, 3 << 10).Fill(7);
        wanted.AsSpan((Size / 2) + 4096, 128 << 10).Fill(8);
        wanted.AsSpan(256 << 10, 64 << 10).Clear();

        // it lowers counts and knows no flag that has to be set again
        var changed = new PagedStorage();
        await changed.WriteAsync(0, File.ReadAllBytes(file.Path));
        await using (var image = await Qcow2Image.OpenAsync(changed.Kept(), new()))
        {
            Assert.Equal(wanted, await ReadAsync(image, 0, Size));
            await image.WriteAsync(0, wanted);
            Assert.Equal(wanted, await ReadAsync(image, 0, Size));
        }

        Assert.Equal(0, (await Qcow2Image.CheckAsync(changed, Qcow2Repair.All)).CheckErrors);
        await AssertSoundAsync(changed);
    }

    [Fact]
    public async Task Count_at_its_limit_makes_a_copy_of_the_data()
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster, RefcountBits = 2 });
        var data = Bytes(1, Cluster);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            for (int i = 1; i < 10; i++)
            {
                await image.RangeCopy!.CopyAsync(0, i * 2 * Cluster, Cluster);
            }

            for (int i = 0; i < 10; i++)
            {
                Assert.Equal(data, await ReadAsync(image, i * 2 * Cluster, Cluster));
            }
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Holes_and_compressed_clusters_are_copied_as_what_they_read()
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
        var data = new byte[Cluster];
        data.AsSpan().Fill(3);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteCompressedAsync(Cluster, data);
            await image.WriteAsync(Size / 2, Bytes(1, 4 * Cluster));
            await image.RangeCopy!.CopyAsync(0, Size / 2, 3 * Cluster);
            Assert.Equal(new byte[Cluster], await ReadAsync(image, Size / 2, Cluster));
            Assert.Equal(data, await ReadAsync(image, (Size / 2) + Cluster, Cluster));
            Assert.Equal(BlockStatusFlags.Zero, (await image.GetStatusAsync(Size / 2, 1)).Flags & BlockStatusFlags.Zero);
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [InlineData(0, 4096, 65536)]
    [InlineData(4096, 0, 65536)]
    [InlineData(100, 612, 200000)]
    [InlineData(700, 100, 200000)]
    public async Task Overlapping_ranges_are_copied_as_if_read_first(int source, int target, int length)
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
        var data = Bytes(1, Size);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.RangeCopy!.CopyAsync(source, target, length);
            data.AsSpan(source, length).CopyTo(data.AsSpan(target));
            Assert.Equal(data, await ReadAsync(image, 0, Size));
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Source_outside_the_disk_is_rejected()
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new());
        var failure = await Assert.ThrowsAsync<BlockException>(async () => await image.RangeCopy!.CopyAsync(Size - 512, 0, 1024));
        Assert.Equal(BlockError.OutOfRange, failure.Error);
    }

    [Fact]
    public async Task Copies_and_writes_at_the_same_time_do_not_wait_for_each_other_forever()
    {
        var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, Bytes(1, Size));
            await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
            {
                var random = new Random(worker);
                for (int i = 0; i < 60; i++)
                {
                    int count = random.Next(1, 40), source = random.Next(256 - count), target = random.Next(256 - count);
                    await (worker % 2 == 0 ? image.RangeCopy!.CopyAsync(source * Cluster, target * Cluster, count * Cluster)
                        : image.WriteAsync((target * Cluster) + 512, Bytes(i, count * Cluster / 2)));
                }
            })));
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Failure_at_any_io_leaves_the_data_and_a_sound_image(FailureMode mode)
    {
        byte[] first = Bytes(1, 16 * Cluster), second = Bytes(2, 16 * Cluster);
        bool failed = true;
        for (int call = 0; failed; call++)
        {
            var storage = await MakeAsync(new() { Size = Size, ClusterSize = Cluster });
            await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
            {
                await image.WriteAsync(0, first);
                await image.WriteAsync(Size / 2, second);
            }

            var failing = new FailingStorage(storage, mode, call);
            var error = await Record.ExceptionAsync(async () =>
            {
                await using var image = await Qcow2Image.OpenAsync(failing, new() { L2CacheBytes = 0, RefcountCacheBytes = 0 });
                await image.RangeCopy!.CopyAsync(0, Size / 2, first.Length);
                await image.FlushAsync();
                await image.WriteAsync(0, second.AsMemory(0, 4 * Cluster));
            });
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;

            // the next opening repairs what was left half-finished
            await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
            {
                var target = await ReadAsync(image, Size / 2, first.Length);
                for (int at = 0; at < target.Length; at += Cluster)
                {
                    var found = target.AsSpan(at, Cluster);
                    Assert.True(
                        found.SequenceEqual(first.AsSpan(at, Cluster)) || found.SequenceEqual(second.AsSpan(at, Cluster)),
                        $"call {call}, cluster at {at}");
                }

                await image.WriteAsync(Size - 512, new byte[512]);
            }

            var lines = new List<string>();
            var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
            Assert.True(report is { Corruptions: 0, CheckErrors: 0 }, $"call {call}, {mode}: {string.Join("; ", lines)}");
        }
    }

    private static async Task<PagedStorage> MakeAsync(Qcow2CreateOptions options)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, options);
        return storage;
    }

    private static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice image, long offset, int length)
    {
        var bytes = new byte[length];
        await image.ReadAsync(offset, bytes);
        return bytes;
    }

    private static async Task AssertSoundAsync(PagedStorage storage)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, string.Join("\n", lines));
        using var file = QemuImg.Save(storage);
        QemuImg.AssertClean(file.Path);
    }
}
