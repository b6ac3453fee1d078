using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Snapshots;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Snapshots;

/// <summary>
/// Internal snapshots: what they keep, what becomes of the disk, limits, failures at every I/O, and requests of others meanwhile.
/// </summary>
public class SnapshotTests
{
    private const int Size = 300 << 10, Cluster = 4096;

    public static TheoryData<FailureMode> Modes => [.. Enum.GetValues<FailureMode>()];

    [Theory]
    [InlineData(3, 4096, 16)]
    [InlineData(3, 512, 64)]
    [InlineData(3, 65536, 8)]
    [InlineData(2, 4096, 16)]
    public async Task Snapshot_keeps_the_disk_and_apply_brings_it_back(int version, int cluster, int bits)
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = cluster, Version = version, RefcountBits = bits });
        byte[] first = Bytes(1), second = Bytes(2);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, first);
            var one = await image.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
            await image.WriteAsync(0, second);
            var two = await image.Snapshots.CreateAsync("two", DateTimeOffset.UnixEpoch);
            await image.WriteZeroesAsync(0, Size / 2, ZeroFlags.MayUnmap);
            Assert.Equal(["1", "2"], image.Snapshots.List.Select(static s => s.Id));
            await image.Snapshots.ApplyAsync(one);
            Assert.Equal(first, await ReadAsync(image));
            await image.WriteAsync(1000, second.AsMemory(0, 5000));
            await image.Snapshots.ApplyAsync(two);
            Assert.Equal(second, await ReadAsync(image));
            await image.Snapshots.DeleteAsync(two);
            await image.WriteAsync(0, first);
        }

        await AssertSoundAsync(storage);
        Assert.Equal(first, await ReadSnapshotAsync(storage, "one"));
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.Snapshots.DeleteAsync(image.Snapshots.List[0]);
        }

        await AssertSoundAsync(storage);
        using var file = QemuImg.Save(storage);
        QemuImg.AssertClean(file.Path);
    }

    [Fact]
    public async Task Apply_gives_the_disk_the_size_of_the_snapshot()
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = 512 });
        var data = Bytes(1);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.Snapshots.CreateAsync("small", DateTimeOffset.UnixEpoch);
            await image.ResizeAsync(Size * 3);
            await image.WriteAsync(Size, data);
            await image.Snapshots.CreateAsync("large", DateTimeOffset.UnixEpoch);
            await image.Snapshots.ApplyAsync(image.Snapshots.List[0]);
            Assert.Equal(data, await ReadAsync(image));
            await image.Snapshots.ApplyAsync(image.Snapshots.List[1]);
            byte[] large = [.. data, .. data, .. new byte[Size]];
            Assert.Equal(large, await ReadAsync(image));
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Snapshot_of_a_version_2_image_cannot_change_its_size()
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = 512, Version = 2 });
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new());
        await image.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
        var error = await Assert.ThrowsAsync<BlockException>(() => image.ResizeAsync(Size * 2).AsTask());
        Assert.Equal("Can't resize a v2 image which has snapshots", error.Message);
    }

    [Fact]
    public async Task Counts_that_are_too_narrow_refuse_a_snapshot_and_the_disk_stays_writable()
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = Cluster, RefcountBits = 2 });
        var data = Bytes(1);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, data);
            await image.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
            await image.Snapshots.CreateAsync("two", DateTimeOffset.UnixEpoch);
            var error = await Assert.ThrowsAsync<BlockException>(
                () => image.Snapshots.CreateAsync("three", DateTimeOffset.UnixEpoch).AsTask());
            Assert.Equal(BlockError.InvalidArgument, error.Error);
            Assert.Equal(2, image.Snapshots.List.Count);
            await image.WriteAsync(100, data.AsMemory(0, 10_000));
            await Assert.ThrowsAsync<BlockException>(() => image.Snapshots.ApplyAsync(image.Snapshots.List[0]).AsTask());
            await image.WriteAsync(0, data);
        }

        // the L1 table of the refused snapshot leaks, as with QEMU
        await AssertSoundAsync(storage, leaks: 1);
        Assert.Equal(data, await ReadSnapshotAsync(storage, "two"));
    }

    [Fact]
    public async Task Writes_during_a_snapshot_are_wholly_in_it_or_not()
    {
        const int Writers = 4, Rounds = 60;
        // thread-safe, as a paged one is not
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 8 << 20, ClusterSize = 512 });
        var kept = new KeptStorage(storage);
        await using (var image = await Qcow2Image.OpenAsync(kept, new() { L2CacheBytes = 0, RefcountCacheBytes = 0 }))
        {
            bool stop = false;
            var writers = Enumerable.Range(0, Writers).Select(w => Task.Run(async () =>
            {
                // a counter at two distant places: the first is written first, so that the second is never ahead
                for (byte i = 1; !Volatile.Read(ref stop); i = (byte)(i == 100 ? 1 : i + 1))
                {
                    var data = new byte[3000];
                    data.AsSpan().Fill(i);
                    await image.WriteAsync(w * 100_000, data);
                    await image.WriteAsync((w * 100_000) + 5_000_000, data);
                }
            })).ToArray();
            for (int i = 0; i < Rounds; i++)
            {
                var taken = await image.Snapshots.CreateAsync($"s{i}", DateTimeOffset.UnixEpoch);
                await AssertConsistentAsync(image.Snapshots.List[^1].Name, await CopyAsync(storage), Writers);
                if (i % 2 == 0)
                {
                    await image.Snapshots.DeleteAsync(taken);
                }
            }

            Volatile.Write(ref stop, true);
            await Task.WhenAll(writers);
        }

        await AssertSoundAsync(await CopyAsync(storage));
    }

    [Fact]
    public async Task Disk_is_not_emptied_while_a_snapshot_is_taken()
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = Cluster });
        await using (var image = await ImageOpening.OpenAsync(storage.Kept(), new(), default))
        {
            await image.WriteAsync(0, new byte[Cluster]);
            // as a snapshot in the making
            var taken = new TaskCompletionSource();
            var other = image.Parts.Locks.WithStructureAsync(async () => await taken.Task).AsTask();
            var emptying = image.EmptyAsync().AsTask();
            Assert.False(emptying.IsCompleted);
            taken.SetResult();
            await other;
            await emptying;
        }

        await AssertSoundAsync(storage);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public Task Failed_creation_leaves_the_old_or_the_new_snapshots(FailureMode mode)
        => EachCallAsync(mode, static image => image.Snapshots.CreateAsync("new", DateTimeOffset.UnixEpoch).AsTask(), ["old", "new"]);

    [Theory]
    [MemberData(nameof(Modes))]
    public Task Failed_deletion_leaves_the_old_or_the_new_snapshots(FailureMode mode)
        => EachCallAsync(mode, static image => image.Snapshots.DeleteAsync(image.Snapshots.List[0]).AsTask(), ["old"]);

    [Theory]
    [MemberData(nameof(Modes))]
    public Task Failed_apply_leaves_the_old_or_the_new_disk(FailureMode mode)
        => EachCallAsync(mode, static image => image.Snapshots.ApplyAsync(image.Snapshots.List[0]).AsTask(), ["old"]);

    [Theory]
    [InlineData(0, 0x400200, "Snapshot L1 table offset invalid")]
    [InlineData(0, -0x1000, "Snapshot L1 table offset invalid")]
    [InlineData(8, 0x7fffffffL << 32, "Snapshot L1 table too large")]
    public async Task Invalid_snapshot_entry_is_refused_and_changes_nothing(int field, long value, string message)
    {
        var storage = await WithSnapshotAsync();
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, value);
        storage.Write(Read64(storage, 64) + field, field == 0 ? bytes : bytes[..4]);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            var entry = image.Snapshots.List[0];
            var deletion = await ErrorAsync(() => image.Snapshots.DeleteAsync(entry).AsTask());
            Assert.Contains(message, deletion.Message, StringComparison.Ordinal);
            var apply = await ErrorAsync(() => image.Snapshots.ApplyAsync(entry).AsTask());
            Assert.Contains(message, apply.Message, StringComparison.Ordinal);
            Assert.Single(image.Snapshots.List);
        }

        Assert.Contains(message, (await ErrorAsync(() => ReadSnapshotAsync(storage, "old"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshot_that_names_one_L2_table_a_million_times_is_refused()
    {
        var storage = await WithSnapshotAsync();
        long table = Read64(storage, 64), l1 = Read64(storage, (int)table);
        long entry = Read64(storage, (int)l1) & 0x00ff_ffff_ffff_fe00;
        var entries = new byte[8 << 20];
        for (int i = 0; i < entries.Length; i += 8)
        {
            BinaryPrimitives.WriteInt64BigEndian(entries.AsSpan(i), entry);
        }

        storage.Write(1 << 20, entries);
        storage.Write(table, [0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0]);
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new());
        var error = await ErrorAsync(() => image.Snapshots.DeleteAsync(image.Snapshots.List[0]).AsTask());
        Assert.Contains("L2 tables", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshot_whose_clusters_are_counted_as_free_cannot_be_deleted_and_the_image_asks_for_repair()
    {
        var storage = await WithSnapshotAsync();
        long l1 = Read64(storage, (int)Read64(storage, 64));
        storage.Write((Read64(storage, (int)l1) & 0x00ff_ffff_ffff_fe00) + 8, [0, 0, 0, 0, 0, 0x7f, 0xf0, 0]);
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            var failure = await Assert.ThrowsAsync<SnapshotFreeException>(
                () => image.Snapshots.DeleteAsync(image.Snapshots.List[0]).AsTask());
            Assert.IsType<ImageCorruptException>(failure.InnerException);
        }

        await (await Qcow2Image.OpenAsync(storage.Kept(), new())).DisposeAsync();
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Read_only_image_takes_no_snapshot()
    {
        var storage = await WithSnapshotAsync();
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new() { ReadOnly = true });
        var error = await ErrorAsync(() => image.Snapshots.CreateAsync("x", DateTimeOffset.UnixEpoch).AsTask());
        Assert.Equal(BlockError.ReadOnly, ((BlockException)error).Error);
    }

    private static async Task<PagedStorage> CopyAsync(MemoryStorage storage)
    {
        // in one call: of one moment
        var bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes);
        return PagedStorage.From(bytes);
    }

    private static async Task AssertConsistentAsync(string name, PagedStorage storage, int writers)
    {
        await using var snapshot = await OpenSnapshotAsync(storage, name);
        var (first, second) = (new byte[3000], new byte[3000]);
        for (int w = 0; w < writers; w++)
        {
            await snapshot.ReadAsync(w * 100_000, first);
            await snapshot.ReadAsync((w * 100_000) + 5_000_000, second);
            Assert.True(first.AsSpan().IndexOfAnyExcept(first[0]) < 0 && second.AsSpan().IndexOfAnyExcept(second[0]) < 0, "a torn write");
            Assert.True(first[0] == second[0] || first[0] == (second[0] == 100 ? 1 : second[0] + 1), $"{first[0]}, then {second[0]}");
        }
    }

    private static async Task EachCallAsync(FailureMode mode, Func<IQcow2Device, Task> command, string[] after)
    {
        bool failed = true;
        int changed = 0;
        for (int call = 0; failed; call++)
        {
            var storage = await WithSnapshotAsync();
            var failing = new FailingStorage(storage, mode, call);
            var error = await Record.ExceptionAsync(async () =>
            {
                await using var image = await Qcow2Image.OpenAsync(failing, new() { L2CacheBytes = 0, RefcountCacheBytes = 0 });
                await command(image);
            });
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;

            // the next opening repairs what was left half-finished
            await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
            {
                string[] names = [.. image.Snapshots.List.Select(static s => s.Name)];
                Assert.True(names is ["old"] || names.SequenceEqual(after) || (after is ["old"] && names is []), string.Join(", ", names));
                var now = await ReadAsync(image);
                Assert.True(now.SequenceEqual(Bytes(2)) || now.SequenceEqual(Bytes(1)), $"call {call}");
                changed += now[0] == Bytes(1)[0] || names is not ["old"] ? 1 : 0;
                if (names.Length > 0)
                {
                    Assert.Equal(Bytes(1), await ReadSnapshotAsync(storage, "old"));
                }
            }

            await AssertSoundAsync(storage, leaks: int.MaxValue);
        }

        Assert.True(changed > 0);
    }

    private static async Task<PagedStorage> WithSnapshotAsync()
    {
        var storage = await MadeAsync(new() { Size = Size, ClusterSize = Cluster });
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new());
        await image.WriteAsync(0, Bytes(1));
        await image.Snapshots.CreateAsync("old", DateTimeOffset.UnixEpoch);
        await image.WriteAsync(0, Bytes(2));
        return storage;
    }

    private static async Task<PagedStorage> MadeAsync(Qcow2CreateOptions options)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, options);
        return storage;
    }

    private static ValueTask<IQcow2Device> OpenSnapshotAsync(PagedStorage storage, string name)
        => Qcow2Image.OpenAsync(storage, new() { ReadOnly = true, Snapshot = new SnapshotChoice(null, name) });

    private static async Task<byte[]> ReadSnapshotAsync(PagedStorage storage, string name)
    {
        await using var device = await OpenSnapshotAsync(storage.Clone(), name);
        return await ReadAsync(device);
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice device)
    {
        var bytes = new byte[device.Length];
        await device.ReadAsync(0, bytes);
        return bytes;
    }

    private static async Task<Exception> ErrorAsync(Func<Task> request)
        => await Record.ExceptionAsync(request) ?? throw new Xunit.Sdk.XunitException("no error");

    private static async Task AssertSoundAsync(PagedStorage storage, int leaks = 0)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage.Kept(), Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && report.Leaks <= leaks, string.Join('\n', lines));
    }

    private static long Read64(PagedStorage storage, int at)
    {
        var bytes = new byte[8];
        storage.Read(at, bytes);
        return BinaryPrimitives.ReadInt64BigEndian(bytes);
    }

    private static byte[] Bytes(int seed)
    {
        var bytes = new byte[Size];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
