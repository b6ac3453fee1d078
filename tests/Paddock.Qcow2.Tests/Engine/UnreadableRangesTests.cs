using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Ranges that cannot be read until they are written: how they come and go, what keeps them, what makes them invalid.</summary>
public class UnreadableRangesTests
{
    private const int Size = 1 << 20, Cluster = 4096;

    public static TheoryData<FailureMode> Modes => [.. Enum.GetValues<FailureMode>()];

    [Fact]
    public async Task Read_that_touches_a_marked_range_fails_until_all_of_it_is_written()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(0, new byte[8192]);
            await image.UnreadableRanges!.AddAsync(1024, 1024);
            await AssertUnreadableAsync(image, 0, 4096);
            await AssertUnreadableAsync(image, 1535, 1);
            await image.ReadAsync(0, new byte[1024]);
            await image.WriteAsync(1024, new byte[700]);
            await image.ReadAsync(1024, new byte[512]);
            await AssertUnreadableAsync(image, 1536, 512);
        }

        await using (var image = await OpenAsync(storage))
        {
            await image.ReadAsync(1024, new byte[512]);
            await AssertUnreadableAsync(image, 1536, 512);
            await image.WriteZeroesAsync(1536, 512);
            await image.ReadAsync(0, new byte[8192]);
        }

        await using (var image = await OpenAsync(storage))
        {
            await image.ReadAsync(0, new byte[8192]);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Written_blocks_leave_the_table_though_the_file_system_is_full()
    {
        var storage = await MakeAsync();
        var full = new FullStorage(storage.Kept());
        await using (var image = await Qcow2Image.OpenAsync(full, new()))
        {
            await image.WriteAsync(0, new byte[8192]);
            await image.FlushAsync();
            await image.UnreadableRanges!.AddAsync(0, 8192);
            await image.WriteAsync(1024, new byte[1024]);
            full.IsFull = true;
            await image.FlushAsync();
            full.IsFull = false;
        }

        await AssertSoundAsync(storage);
        await using (var image = await OpenAsync(storage))
        {
            await image.ReadAsync(1024, new byte[1024]);
            await AssertUnreadableAsync(image, 512, 512);
            await AssertUnreadableAsync(image, 2048, 512);
        }
    }

    [Fact]
    public async Task Write_that_divides_a_range_beyond_the_limit_is_rejected_and_no_range_is_lost()
    {
        const int ranges = UnreadableTable.MaxRanges;
        var storage = await MakeAsync(16 << 20);
        await using (var image = await OpenAsync(storage))
        {
            await image.UnreadableRanges!.AddAsync(0, (2L * ranges * 512) + 4096);
            for (int i = 0; i < ranges - 1; i++)
            {
                await image.WriteAsync((i * 1024) + 512, new byte[512]);
            }

            var full = await Assert.ThrowsAsync<BlockException>(
                async () => await image.WriteAsync(((ranges - 1) * 1024) + 512, new byte[512]));
            Assert.Equal(BlockError.NoSpace, full.Error);
            await image.WriteAsync(0, new byte[512]);
        }

        await using (var image = await OpenAsync(storage))
        {
            await AssertUnreadableAsync(image, 1024, 512);
            await AssertUnreadableAsync(image, ((ranges - 1) * 1024) + 512, 512);
            await image.ReadAsync(512, new byte[512]);
        }
    }

    [Fact]
    public async Task Status_reports_a_marked_hole_as_unreadable_data()
    {
        var storage = await MakeAsync();
        await using var image = await OpenAsync(storage);
        await image.UnreadableRanges!.AddAsync(8192, 4096);
        Assert.Equal(8192, (await image.GetStatusAsync(0, Size)).Length);
        var status = await image.GetStatusAsync(8192, Size);
        Assert.Equal(4096, status.Length);
        Assert.Equal(
            BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.Unreadable, status.Flags);
    }

    [Fact]
    public async Task Copy_from_a_marked_range_fails_and_copy_onto_one_makes_it_readable()
    {
        var storage = await MakeAsync();
        await using var image = await OpenAsync(storage);
        await image.UnreadableRanges!.AddAsync(0, Cluster);
        var failure = await Assert.ThrowsAsync<BlockException>(
            async () => await image.RangeCopy!.CopyAsync(0, Size / 2, 2 * Cluster));
        Assert.Equal(BlockError.Unreadable, failure.Error);
        await image.RangeCopy!.CopyAsync(Size / 2, 0, Cluster);
        await image.ReadAsync(0, new byte[Cluster]);
    }

    [Fact]
    public async Task Discard_of_part_of_a_cluster_keeps_its_mark()
    {
        var storage = await MakeAsync();
        await using var image = await OpenAsync(storage);
        await image.WriteAsync(0, new byte[Size]);
        await image.UnreadableRanges!.AddAsync(0, 4 * Cluster);
        await image.DiscardAsync(512, 2 * Cluster);
        await AssertUnreadableAsync(image, 512, 512);
        await image.ReadAsync(Cluster, new byte[Cluster]);
        await AssertUnreadableAsync(image, 2 * Cluster, 512);
    }

    [Fact]
    public async Task Ranges_are_kept_apart_and_joined()
    {
        var storage = await MakeAsync(64 << 20);
        await using var image = await OpenAsync(storage);
        var parts = ((Qcow2Image)CheckedDevice.Unwrap(image)).Parts;
        await image.UnreadableRanges!.AddAsync(0, 512);
        var set = parts.Unreadable;
        for (int i = 1; i < 40; i++)
        {
            await image.UnreadableRanges.AddAsync(i * 1024, 512);
        }

        Assert.Equal(40, UnreadableTable.TryParse(await TableAsync(storage), out _)!.Count);
        Assert.Equal(1024, set.Find(new GuestOffset(1024), 512)!.Value.Start);
        await set.AddAsync(new GuestOffset(0), (UnreadableTable.MaxRanges - 1) * 1024);
    }

    [Fact]
    public async Task More_ranges_than_the_limit_are_rejected()
    {
        var storage = await MakeAsync(64 << 20);
        await using (var image = await OpenAsync(storage))
        {
            await image.UnreadableRanges!.AddAsync(0, 512);
        }

        // a table with as many as there may be, in the place of the one that is there
        var ranges = Enumerable.Range(0, UnreadableTable.MaxRanges).Select(i => new UnreadableRange(i * 1024, (i * 1024) + 512));
        var parts = await OpenAsync(storage);
        var set = ((Qcow2Image)CheckedDevice.Unwrap(parts)).Parts;
        await set.Session.StartAsync();
        var place = await set.Locks.WithMetadataAsync(() => set.Tables.PlaceAsync(UnreadableTable.Build([.. ranges])));
        await set.Locks.WithMetadataAsync(
            () => set.Blocks.PutAsync(set.Blocks.Extension with { Ranges = UnreadableTable.MaxRanges, RangesOffset = place }));
        await parts.DisposeAsync();
        await using (var image = await OpenAsync(storage))
        {
            var failure = await Assert.ThrowsAsync<BlockException>(async () => await image.UnreadableRanges!.AddAsync(32 << 20, 512));
            Assert.Equal(BlockError.NoSpace, failure.Error);
            Assert.Contains("keeps 4096", failure.Message, StringComparison.Ordinal);
            await image.WriteAsync(0, new byte[1024]);
            await image.FlushAsync();
            await image.UnreadableRanges!.AddAsync(32 << 20, 512);
        }
    }

    [Fact]
    public async Task Program_that_clears_the_autoclear_bit_makes_the_table_invalid()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(0, new byte[8192]);
            await image.UnreadableRanges!.AddAsync(0, 4096);
        }

        using (var file = QemuImg.Save(storage))
        {
            // the table's cluster looks leaked to it
            Assert.Equal(3, QemuImg.Run("qemu-img", "check", file.Path).Code);
            var (code, output) = QemuImg.Run("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 512", file.Path);
            Assert.True(code == 0, output);
            var changed = new PagedStorage();
            await changed.WriteAsync(0, File.ReadAllBytes(file.Path));
            await using var image = await OpenAsync(changed);
            var found = new byte[512];
            await image.ReadAsync(0, found);
            Assert.Equal(5, found[0]);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Broken_table_is_warned_about_found_and_repaired()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.UnreadableRanges!.AddAsync(0, 4096);
        }

        long offset = (await ExtensionAsync(storage)).RangesOffset.Value;
        await storage.WriteAsync(offset + 20, new byte[] { 9 });
        await using (var image = await OpenAsync(storage.Clone()))
        {
            Assert.Contains(image.Warnings, w => w.Contains("unreadable ranges", StringComparison.Ordinal));
            await image.ReadAsync(0, new byte[4096]);
        }

        Assert.Equal(1, (await Qcow2Image.CheckAsync(storage, Qcow2Repair.None)).Corruptions);
        await Qcow2Image.CheckAsync(storage, Qcow2Repair.All);
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Shrinking_drops_the_ranges_beyond_the_end()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.UnreadableRanges!.AddAsync((Size / 2) - 4096, 8192);
            await image.ResizeAsync(Size / 2);
            await image.ResizeAsync(Size);
            await image.ReadAsync(Size / 2, new byte[8192]);
            await AssertUnreadableAsync(image, (Size / 2) - 512, 512);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Emptied_image_has_neither_ranges_nor_shared_clusters()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.WriteAsync(0, new byte[Size / 2]);
            await image.RangeCopy!.CopyAsync(0, Size / 2, Size / 2);
            await image.UnreadableRanges!.AddAsync(0, 4096);
            await image.EmptyAsync();
        }

        await AssertSoundAsync(storage);
        await using (var image = await OpenAsync(storage))
        {
            await image.ReadAsync(0, new byte[Size]);
        }
    }

    [Fact]
    public async Task Going_back_to_a_snapshot_drops_all_ranges()
    {
        var storage = await MakeAsync();
        await using (var image = await OpenAsync(storage))
        {
            await image.UnreadableRanges!.AddAsync(0, 4096);
            var snapshot = await image.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
            await AssertUnreadableAsync(image, 0, 512);
            await image.Snapshots.ApplyAsync(snapshot);
            await image.ReadAsync(0, new byte[4096]);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Marking_in_a_sequential_zone_is_a_write_that_a_reset_takes_back()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new()
        {
            Size = 8 << 20, ClusterSize = Cluster, Zoned = new ZonedCreateOptions { ZoneSize = 1 << 20, ConventionalZones = 1 },
        });
        await using (var image = await OpenAsync(storage))
        {
            long zone = 1 << 20;
            var ranges = image.UnreadableRanges!;
            var failure = await Assert.ThrowsAsync<ZoneException>(async () => await ranges.AddAsync(zone + 4096, 4096));
            Assert.Equal(ZoneError.NotAtWritePointer, failure.Reason);
            await image.WriteAsync(zone, new byte[4096]);
            await ranges.AddAsync(zone + 4096, 4096);
            await image.WriteAsync(zone + 8192, new byte[4096]);
            await ranges.AddAsync(0, 4096);
            await AssertUnreadableAsync(image, zone, 12288);
            await AssertUnreadableAsync(image, 0, 512);
            await image.FlushAsync();
        }

        await using (var image = await OpenAsync(storage))
        {
            long zone = 1 << 20;
            await AssertUnreadableAsync(image, zone + 4096, 512);
            await image.Zones!.ManageAsync(ZoneAction.Reset, zone, 1 << 20);
            await image.ReadAsync(zone, new byte[12288]);
            await image.WriteAsync(zone, new byte[12288]);
            await image.ReadAsync(zone, new byte[12288]);
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Failure_at_any_io_leaves_the_blocks_as_they_were_or_unreadable(FailureMode mode)
    {
        bool failed = true;
        for (int call = 0; failed; call++)
        {
            var storage = await MakeAsync();
            await using (var image = await OpenAsync(storage))
            {
                await image.WriteAsync(0, Filled(1));
                await image.UnreadableRanges!.AddAsync(8192, 4096);
            }

            var failing = new FailingStorage(storage, mode, call);
            var error = await Record.ExceptionAsync(async () =>
            {
                await using var image = await Qcow2Image.OpenAsync(failing, new() { L2CacheBytes = 0, RefcountCacheBytes = 0 });
                await image.UnreadableRanges!.AddAsync(0, 4096);
                await image.WriteAsync(8192, Filled(2));
                await image.FlushAsync();
            });
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;
            await using (var image = await OpenAsync(storage))
            {
                Assert.True(await ValueAsync(image, 0) is null or 1, $"call {call}, {mode}");
                Assert.True(await ValueAsync(image, 8192) is null or 2, $"call {call}, {mode}");
                await image.WriteAsync(0, Filled(3));
                await image.WriteAsync(8192, Filled(3));
            }

            await using (var image = await OpenAsync(storage))
            {
                Assert.Equal((byte)3, await ValueAsync(image, 0));
                Assert.Equal((byte)3, await ValueAsync(image, 8192));
            }

            var lines = new List<string>();
            var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
            Assert.True(report is { Corruptions: 0, CheckErrors: 0 }, $"call {call}, {mode}: {string.Join("; ", lines)}");
        }
    }

    private static byte[] Filled(byte value)
    {
        var bytes = new byte[4096];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    // null: unreadable
    private static async Task<byte?> ValueAsync(IBlockDevice image, long offset)
    {
        var bytes = new byte[4096];
        try
        {
            await image.ReadAsync(offset, bytes);
            Assert.Equal(-1, bytes.AsSpan().IndexOfAnyExcept(bytes[0]));
            return bytes[0];
        }
        catch (BlockException e) when (e.Error == BlockError.Unreadable)
        {
            return null;
        }
    }

    private static async Task<byte[]> TableAsync(PagedStorage storage)
    {
        var extension = await ExtensionAsync(storage);
        var table = new byte[UnreadableTable.SizeOf(extension.Ranges)];
        await storage.ReadAsync(extension.RangesOffset.Value, table);
        return table;
    }

    private static async Task<BlocksExtension> ExtensionAsync(PagedStorage storage)
    {
        var header = new byte[Cluster];
        await storage.ReadAsync(0, header);
        int start = (int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(100));
        var extension = HeaderExtension.ParseAll(header.AsSpan(start)).Single(e => e.Type == HeaderExtension.PaddockBlocks);
        return BlocksExtension.Parse(extension.Data, Cluster, storage.Length, out _)!.Value;
    }

    private static async Task AssertUnreadableAsync(IBlockDevice image, long offset, int length)
    {
        var failure = await Assert.ThrowsAsync<BlockException>(async () => await image.ReadAsync(offset, new byte[length]));
        Assert.Equal(BlockError.Unreadable, failure.Error);
    }

    private static async Task<PagedStorage> MakeAsync(long size = Size)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = size, ClusterSize = Cluster });
        return storage;
    }

    private static ValueTask<IQcow2Device> OpenAsync(PagedStorage storage) => Qcow2Image.OpenAsync(storage.Kept(), new());

    private static async Task AssertSoundAsync(PagedStorage storage)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, string.Join("\n", lines));
    }

    /// <summary>Does not become longer while it is full.</summary>
    private sealed class FullStorage(IStorage storage) : DelegatingStorage(storage)
    {
        public bool IsFull { get; set; }

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
            => IsFull && offset + data.Length > Inner.Length
                ? throw new BlockException(BlockError.NoSpace, "the file system is full")
                : Inner.WriteAsync(offset, data, cancellationToken);

        public override ValueTask<bool> ReserveAsync(
            long offset, long length, bool grows, CancellationToken cancellationToken = default)
            => IsFull && offset + length > Inner.Length
                ? throw new BlockException(BlockError.NoSpace, "the file system is full")
                : Inner.ReserveAsync(offset, length, grows, cancellationToken);
    }
}
