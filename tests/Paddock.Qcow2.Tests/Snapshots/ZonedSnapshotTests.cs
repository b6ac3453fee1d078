using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;
using Paddock.Qcow2.Zoned;
using Paddock.Testing;
using Paddock.Zones;

namespace Paddock.Qcow2.Tests.Snapshots;

/// <summary>Snapshots of zoned disks: pointers, conditions and descriptor extensions of their moment, and power cuts.</summary>
public class ZonedSnapshotTests
{
    private const int Zone = 64 << 10, Zones = 8, Conventional = 2;

    public static TheoryData<FailureMode> Modes => [.. Enum.GetValues<FailureMode>()];

    [Fact]
    public async Task Apply_brings_back_pointers_conditions_and_extensions()
    {
        var storage = await MadeAsync();
        Picture first, second;
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await FillAsync(disk, 1);
            await disk.Zones!.Attributes!.SetConditionAsync(5, ZoneCondition.ReadOnly);
            await disk.Zones.Attributes.SetConditionAsync(6, ZoneCondition.Offline);
            await disk.Zones.Attributes.WriteExtensionAsync(7, Extension(disk, 7));
            first = await PictureAsync(disk);
            await disk.Snapshots.CreateAsync("first", DateTimeOffset.UnixEpoch);
            Assert.Equal(first, await PictureAsync(disk));

            await disk.Zones.Attributes.SetConditionAsync(5, ZoneCondition.Empty);
            await disk.Zones.Attributes.SetConditionAsync(6, ZoneCondition.Empty);
            await disk.Zones.ManageAsync(ZoneAction.Reset, Conventional * Zone, (Zones - Conventional) * Zone);
            await FillAsync(disk, 2);
            await disk.Zones.Attributes.WriteExtensionAsync(6, Extension(disk, 6));
            second = await PictureAsync(disk);
            await disk.Snapshots.CreateAsync("second", DateTimeOffset.UnixEpoch);
            await disk.Zones.ManageAsync(ZoneAction.Reset, Conventional * Zone, (Zones - Conventional) * Zone);

            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]);
            Assert.Equal(first, await PictureAsync(disk));
        }

        await AssertSoundAsync(storage);
        Assert.Equal(first, await ReopenedAsync(storage, null));
        Assert.Equal(first, await ReopenedAsync(storage, "first"));
        Assert.Equal(second, await ReopenedAsync(storage, "second"));
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            // appends go on where the pointers of the snapshot are
            long at = await disk.Zones!.AppendAsync(3 * Zone, new byte[512]);
            Assert.Equal(first.Pointers[3], at);
            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[1]);
            Assert.Equal(second, await PictureAsync(disk));
            await disk.Snapshots.DeleteAsync(disk.Snapshots.List[0]);
            await disk.Snapshots.DeleteAsync(disk.Snapshots.List[0]);
            Assert.Equal(second, await PictureAsync(disk));
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Apply_gives_the_disk_the_zones_of_the_snapshot()
    {
        var storage = await MadeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await FillAsync(disk, 1);
            var small = await PictureAsync(disk);
            await disk.Snapshots.CreateAsync("small", DateTimeOffset.UnixEpoch);
            await disk.ResizeAsync(20 * Zone);
            await disk.WriteAsync(19 * Zone, new byte[4096]);
            var large = await PictureAsync(disk);
            await disk.Snapshots.CreateAsync("large", DateTimeOffset.UnixEpoch);
            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]);
            Assert.Equal(small, await PictureAsync(disk));
            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[1]);
            Assert.Equal(large, await PictureAsync(disk));
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Power_cut_leaves_snapshots_whole_and_the_disk_old_or_new()
    {
        const int Seed = 4711;
        var start = await MadeAsync();
        var disk = new CrashStorage(start);
        var pictures = new List<Picture>();
        var taken = new Dictionary<string, Picture>();
        await using (var device = await Qcow2Image.OpenAsync(disk, new()))
        {
            await FillAsync(device, 1);
            await device.FlushAsync();
            taken["one"] = await PictureAsync(device);
            await device.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
            await device.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone);
            await FillAsync(device, 2, from: 3);
            await device.FlushAsync();
            taken["two"] = await PictureAsync(device);
            await device.Snapshots.CreateAsync("two", DateTimeOffset.UnixEpoch);
            await device.Snapshots.ApplyAsync(device.Snapshots.List[0]);
            await device.Snapshots.DeleteAsync(device.Snapshots.List[1]);
        }

        pictures.AddRange(taken.Values);
        var cut = new PowerCut(disk.Log);
        int seen = 0;
        for (int position = 0; position <= disk.Log.Count; position++)
        {
            for (int i = 0; i < 3; i++)
            {
                var image = cut.At(position, Seed + (position * 10) + i);
                await using (var device = await Qcow2Image.OpenAsync(image.Kept(), new()))
                {
                    foreach (var snapshot in device.Snapshots.List)
                    {
                        Assert.Equal(taken[snapshot.Name], await ReopenedAsync(image, snapshot.Name));
                        seen++;
                    }
                }

                await AssertSoundAsync(image, leaks: int.MaxValue);
            }
        }

        Assert.True(seen > 50, $"seed {Seed}: {seen}");
    }

    [Fact]
    public async Task Power_cut_during_apply_leaves_pointers_conditions_and_extensions_of_one_moment()
    {
        const int Seed = 815;
        var (start, snapshot, old) = await WithAttributesAsync();
        var disk = new CrashStorage(start);
        await using (var device = await Qcow2Image.OpenAsync(disk, new()))
        {
            await device.Snapshots.ApplyAsync(device.Snapshots.List[0]);
        }

        var cut = new PowerCut(disk.Log);
        int switched = 0;
        for (int position = 0; position <= disk.Log.Count; position++)
        {
            for (int i = 0; i < 7; i++)
            {
                var image = cut.At(position, Seed + (position * 10) + i);
                var read = await ReopenedAsync(image, null);
                Assert.True(read.Equals(old) || read.Equals(snapshot), $"a reader after a cut at {position}, seed {Seed}: {read}");
                Assert.Equal(read, await ReopenedAsync(image, null, writable: true));
                Assert.Equal(read, await ReopenedAsync(image, null));
                Assert.False(await IsNamedAsync(image), $"a cut at {position}: the record is still named");
                await AssertSoundAsync(image, leaks: int.MaxValue);
                switched += read.Equals(snapshot) ? 1 : 0;
            }
        }

        Assert.True(switched > 20, $"seed {Seed}: {switched}");
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Failed_apply_leaves_a_disk_of_one_moment_and_no_trace_in_the_header(FailureMode mode)
    {
        bool failed = true;
        for (int call = 0; failed; call++)
        {
            var (storage, snapshot, old) = await WithAttributesAsync();
            var failing = new FailingStorage(storage, mode, call);
            Picture? before = null;
            var error = await Record.ExceptionAsync(async () =>
            {
                await using var disk = await Qcow2Image.OpenAsync(failing, new());
                await Record.ExceptionAsync(async () => await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]));
                before = await PictureAsync(disk);
            });
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;
            var now = await ReopenedAsync(storage, null, writable: true);
            Assert.True(error is not null || now.Equals(before), $"call {call}, {mode}: {before} before closing, {now} afterwards");
            bool isOne = now.Equals(old) || now.Equals(snapshot);

            // a client that goes on after the failure decides about conditions and extensions: no restart may replace them
            Assert.True(isOne || mode != FailureMode.ForGood, $"call {call}, {mode}: {now}");
            bool hasEither = now.Pointers.SequenceEqual(old.Pointers) || now.Pointers.SequenceEqual(snapshot.Pointers);
            Assert.True(hasEither, $"call {call}, {mode}: {now}");
            Assert.False(await IsNamedAsync(storage), $"call {call}, {mode}: the record is still named");
            await AssertSoundAsync(storage, leaks: int.MaxValue);
        }
    }

    [Fact]
    public async Task Extension_of_a_zone_that_an_apply_removed_does_not_come_back_with_the_zone()
    {
        var storage = await MadeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await disk.Snapshots.CreateAsync("small", DateTimeOffset.UnixEpoch);
            await disk.ResizeAsync((Zones + 1) * Zone);
            await disk.Zones!.Attributes!.WriteExtensionAsync(Zones, Extension(disk, Zones));
            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]);
            await disk.ResizeAsync((Zones + 1) * Zone);
            Assert.False(disk.Zones.Attributes.HasExtension(Zones));
        }

        await using var again = await Qcow2Image.OpenAsync(storage.Kept(), new());
        Assert.False(again.Zones!.Attributes!.HasExtension(Zones));
        var zone = new ZoneDescriptor[1];
        await again.Zones.ReportAsync(Zones * Zone, zone);
        Assert.Equal(ZoneCondition.Empty, zone[0].Condition);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(8, 1)]
    [InlineData(16, 1)]
    [InlineData(24, 1)]
    [InlineData(28, 1)]
    public void Restore_extension_with_a_changed_field_is_ignored(int field, byte change)
    {
        var record = new SnapshotZones(new HostOffset(8192), 4096, 77);
        var data = new RestoreExtension(new HostOffset(65536), record).ToHeader().Data;
        Assert.Equal(new RestoreExtension(new HostOffset(65536), record), RestoreExtension.Parse(data, 4096));
        data[field + 3] ^= change;
        Assert.Null(RestoreExtension.Parse(data, 4096));
        Assert.Null(RestoreExtension.Parse(data.AsSpan(0, 31), 4096));
    }

    [Theory]
    [InlineData(4097, 4096)]
    [InlineData(0, 4096)]
    [InlineData(-4096, 4096)]
    [InlineData(4096, 0)]
    [InlineData(4096, SnapshotZones.MaxRecordBytes + 1)]
    public void Restore_extension_with_an_impossible_record_is_ignored(long offset, long bytes)
    {
        var record = new SnapshotZones(new HostOffset(offset), bytes, 77);
        Assert.Null(RestoreExtension.Parse(new RestoreExtension(new HostOffset(65536), record).ToHeader().Data, 4096));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Failed_apply_leaves_the_old_or_the_new_pointers(FailureMode mode)
    {
        bool failed = true;
        for (int call = 0; failed; call++)
        {
            var storage = await MadeAsync();
            Picture old, next;
            await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
            {
                await FillAsync(disk, 1);
                next = await PictureAsync(disk);
                await disk.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
                await disk.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone);
                old = await PictureAsync(disk);
            }

            var failing = new FailingStorage(storage, mode, call);
            var error = await Record.ExceptionAsync(async () =>
            {
                await using var disk = await Qcow2Image.OpenAsync(failing, new());
                await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]);
            });
            Assert.True(error is null or BlockException, $"call {call}, {mode}: {error}");
            failed = failing.HasFailed;
            var now = await ReopenedAsync(storage, null, writable: true);
            Assert.True(now.Equals(old) || now.Equals(next), $"call {call}, {mode}");
            await AssertSoundAsync(storage, leaks: int.MaxValue);
        }
    }

    [Theory]
    [InlineData(0, "place of its zone record")]
    [InlineData(16, "place of its zone record")]
    [InlineData(-1, "wrong checksum")]
    public async Task Corrupt_zone_record_is_reported_and_refused(int field, string message)
    {
        var storage = await MadeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await FillAsync(disk, 1);
            await disk.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
        }

        var bytes = new byte[8];
        storage.Read(64, bytes);
        long part = BinaryPrimitives.ReadInt64BigEndian(bytes) + 40 + 24;
        storage.Read(part + 8, bytes);
        long at = field < 0 ? BinaryPrimitives.ReadInt64BigEndian(bytes) + 40 : part + 8 + field;
        storage.Write(at, [0x5a]);
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage.Kept(), Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions > 0);
        Assert.Contains(lines, line => line.Contains(message, StringComparison.Ordinal));
        await using var device = await Qcow2Image.OpenAsync(storage.Kept(), new());
        await Assert.ThrowsAnyAsync<BlockException>(() => device.Snapshots.ApplyAsync(device.Snapshots.List[0]).AsTask());
        await device.Snapshots.DeleteAsync(device.Snapshots.List[0]);
    }

    [Fact]
    public async Task Zone_record_with_fewer_zones_than_the_disk_has_conventional_ones_is_refused()
    {
        var storage = await MadeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await FillAsync(disk, 1);
            await disk.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
        }

        // one zone, and a disk of that size; all checksums are right
        var eight = new byte[8];
        storage.Read(64, eight);
        long extra = BinaryPrimitives.ReadInt64BigEndian(eight) + 40;
        var part = new byte[SnapshotZones.Size];
        storage.Read(extra + 24, part);
        var place = SnapshotZones.Find([.. new byte[24], .. part], 4096)!.Value;
        var record = new ZoneRecord
        {
            ZoneSize = Zone, Pointers = [0], Conditions = [0], ExtensionBytes = 0, Extensions = [],
        }.ToBytes();
        storage.Write(place.Offset.Value, record);
        (place with { Bytes = record.Length, Checksum = Checksum(record) }).WriteTo(part);
        storage.Write(extra + 24, part);
        BinaryPrimitives.WriteInt64BigEndian(eight, Zone);
        storage.Write(extra + 8, eight);

        await using (var device = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await Assert.ThrowsAsync<ImageCorruptException>(() => device.Snapshots.ApplyAsync(device.Snapshots.List[0]).AsTask());
            Assert.Equal(Zones * Zone, device.Length);
        }

        await Assert.ThrowsAsync<ImageCorruptException>(() => ReopenedAsync(storage, "one"));
        await using var again = await Qcow2Image.OpenAsync(storage.Kept(), new());
        Assert.NotNull(again.Zones);
    }

    [Fact]
    public async Task Snapshot_with_more_zones_than_the_limit_is_refused()
    {
        var storage = await MadeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await disk.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
        }

        var eight = new byte[8];
        storage.Read(64, eight);
        long extra = BinaryPrimitives.ReadInt64BigEndian(eight) + 40;
        BinaryPrimitives.WriteInt64BigEndian(eight, (ZoneGeometry.MaxZones + 1L) * Zone);
        storage.Write(extra + 8, eight);
        await Assert.ThrowsAnyAsync<BlockException>(() => ReopenedAsync(storage, "one"));
    }

    private static uint Checksum(byte[] bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte next in bytes)
        {
            crc = System.Numerics.BitOperations.Crc32C(crc, next);
        }

        return ~crc;
    }

    private static async Task FillAsync(IBlockDevice disk, byte value, int from = Conventional)
    {
        for (int zone = from; zone < 6; zone++)
        {
            var data = new byte[512 * (zone + value)];
            data.AsSpan().Fill((byte)(value * 16 + zone));
            await disk.Zones!.AppendAsync((long)zone * Zone, data);
        }

        var conventional = new byte[3000];
        conventional.AsSpan().Fill(value);
        await disk.WriteAsync(1000, conventional);
    }

    private static byte[] Extension(IBlockDevice disk, int zone)
    {
        var data = new byte[disk.Zones!.Attributes!.ExtensionBytes];
        data.AsSpan().Fill((byte)(0xe0 + zone));
        return data;
    }

    private static async Task<Picture> ReopenedAsync(PagedStorage storage, string? snapshot, bool writable = false)
    {
        var choice = snapshot is null ? null : new SnapshotChoice(null, snapshot);
        await using var disk = await Qcow2Image.OpenAsync(
            writable ? storage.Kept() : storage.Clone(), new() { ReadOnly = !writable, Snapshot = choice });
        return await PictureAsync(disk);
    }

    private static async Task<Picture> PictureAsync(IBlockDevice disk)
    {
        var report = new ZoneDescriptor[disk.Length / Zone];
        await disk.Zones!.ReportAsync(0, report);
        var data = new byte[disk.Length];
        var extensions = new List<string>();
        for (int zone = 0; zone < report.Length; zone++)
        {
            if (report[zone].Condition != ZoneCondition.Offline)
            {
                await disk.ReadAsync((long)zone * Zone, data.AsMemory(zone * Zone, Zone));
            }

            var extension = new byte[disk.Zones.Attributes!.ExtensionBytes];
            extensions.Add(await disk.Zones.Attributes.ReadExtensionAsync(zone, extension) ? Convert.ToHexString(extension) : "");
        }

        // open zones are closed in a snapshot
        var conditions = report.Select(static z => z.Condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen
            ? ZoneCondition.Closed : z.Condition);
        return new Picture(
            [.. report.Select(static z => z.WritePointer)], string.Join(' ', conditions), string.Join(' ', extensions),
            Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(data)));
    }

    /// <summary>
    /// A disk with a snapshot, both with conditions and extensions, which differ; the pictures of the snapshot and of the disk.
    /// </summary>
    private static async Task<(PagedStorage Storage, Picture Snapshot, Picture Disk)> WithAttributesAsync()
    {
        var storage = await MadeAsync();
        await using var disk = await Qcow2Image.OpenAsync(storage.Kept(), new());
        await FillAsync(disk, 1);
        await disk.Zones!.Attributes!.SetConditionAsync(3, ZoneCondition.ReadOnly);
        await disk.Zones.Attributes.WriteExtensionAsync(7, Extension(disk, 7));
        var snapshot = await PictureAsync(disk);
        await disk.Snapshots.CreateAsync("one", DateTimeOffset.UnixEpoch);
        await disk.Zones.Attributes.SetConditionAsync(3, ZoneCondition.Empty);
        await disk.Zones.ManageAsync(ZoneAction.Reset, Conventional * Zone, (Zones - Conventional) * Zone);
        await disk.Zones.Attributes.WriteExtensionAsync(6, Extension(disk, 6));
        await disk.Zones.AppendAsync(4 * Zone, new byte[1024]);
        await disk.Zones.Attributes.SetConditionAsync(5, ZoneCondition.Offline);
        return (storage, snapshot, await PictureAsync(disk));
    }

    private static async Task<bool> IsNamedAsync(PagedStorage storage)
        => (await HeaderReader.ReadAsync(storage, CancellationToken.None)).Extensions.Exists(static e => e.Type == RestoreExtension.Type);

    private static async Task<PagedStorage> MadeAsync()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new()
        {
            Size = Zones * Zone, ClusterSize = 4096, Zoned = new ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = Conventional },
        });
        return storage;
    }

    private static async Task AssertSoundAsync(PagedStorage storage, int leaks = 0)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage.Kept(), Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && report.Leaks <= leaks, string.Join('\n', lines));
    }

    private sealed record Picture(long[] Pointers, string Conditions, string Extensions, string Data)
    {
        public bool Equals(Picture? other)
            => other is not null && Pointers.SequenceEqual(other.Pointers) && Conditions == other.Conditions
                && Extensions == other.Extensions && Data == other.Data;

        public override int GetHashCode() => Data.GetHashCode(StringComparison.Ordinal);

        public override string ToString() => $"{string.Join(' ', Pointers)} | {Conditions} | {Extensions} | {Data}";
    }
}
