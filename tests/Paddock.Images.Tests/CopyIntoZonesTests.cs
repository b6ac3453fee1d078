using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Copies to a zoned target.</summary>
public class CopyIntoZonesTests
{
    private const int Zone = 1 << 20, Piece = 64 << 10;

    private static readonly ZonedCreateOptions Plain = new() { ZoneSize = Zone };

    [Fact]
    public async Task Zeroes_before_data_in_a_zone_are_written()
    {
        await using var source = RawOf(4 * Zone, (0, 1), (4 * Piece, 2), ((2 * Zone) + Piece, 3));
        await using var target = await MakeAsync(Plain, 4);
        await DiskCopy.RunAsync(source, target, new CopyOptions { TargetIsZero = true });
        await AssertSameAsync(source, target);
        Assert.Equal((long[])[5 * Piece, 0, 2 * Piece, 0], await PointersAsync(target));
    }

    [Fact]
    public async Task A_copy_of_zones_keeps_pointers_full_zones_and_conventional_data()
    {
        var options = Plain with { ConventionalZones = 1, ZoneCapacity = Zone - Piece };
        await using var source = await MakeAsync(options, 6);
        await source.WriteAsync(3 * Piece, Bytes(1));
        await source.WriteAsync(Zone, Bytes(2));
        await source.WriteZeroesAsync(Zone + Piece, 2 * Piece);
        await source.WriteAsync(2 * Zone, Bytes(3));
        await source.Zones!.ManageAsync(ZoneAction.Finish, 2 * Zone, 2 * Zone);
        await source.WriteAsync(5 * Zone, Bytes(4));
        await using var target = await MakeAsync(options, 6);
        await DiskCopy.RunAsync(source, target, new CopyOptions { TargetIsZero = true });
        await AssertSameAsync(source, target);
        Assert.Equal(await PointersAsync(source), await PointersAsync(target));
        ZoneCondition[] wanted =
        [
            ZoneCondition.NotWritePointer, ZoneCondition.Closed, ZoneCondition.Full, ZoneCondition.Full, ZoneCondition.Empty,
                ZoneCondition.Closed,
        ];
        Assert.Equal(wanted, (await ReportAsync(target)).Select(z => z.Condition));
    }

    [Fact]
    public async Task Conditions_and_descriptor_extensions_are_copied()
    {
        await using var source = await MakeAsync(Plain, 5);
        await source.WriteAsync(Zone, Bytes(2));
        await source.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly);
        await source.WriteAsync(2 * Zone, Bytes(3));
        await source.Zones!.Attributes.SetConditionAsync(2, ZoneCondition.Offline);
        byte[] extension = Bytes(9)[..source.Zones!.Attributes!.ExtensionBytes];
        await source.Zones!.Attributes.WriteExtensionAsync(3, extension);
        await source.WriteAsync(3 * Zone, Bytes(4));
        await using var target = await MakeAsync(Plain, 5);

        // a second copy finds the zone states left by the first
        for (int run = 0; run < 2; run++)
        {
            var warnings = new List<string>();
            await DiskCopy.RunAsync(source, target, new CopyOptions { Warn = warnings.Add });
            Assert.Contains("1 zones of the source are offline", Assert.Single(warnings), StringComparison.Ordinal);
            Assert.Equal(
                (await ReportAsync(source)).Select(z => z.Condition is ZoneCondition.ImplicitlyOpen ? ZoneCondition.Closed : z.Condition),
                (await ReportAsync(target)).Select(z => z.Condition));
            byte[] found = new byte[extension.Length];
            Assert.True(await target.Zones!.Attributes!.ReadExtensionAsync(3, found, TestContext.Current.CancellationToken));
            Assert.Equal(extension, found);
            byte[] data = new byte[Piece];
            await target.ReadAsync(Zone, data);
            Assert.Equal(Bytes(2), data);
        }
    }

    [Fact]
    public async Task Used_zones_are_reset_where_the_copy_reaches_and_a_copy_can_be_repeated()
    {
        await using var source = RawOf(3 * Zone, (Piece, 1));
        await using var target = await MakeAsync(Plain, 5);
        foreach (int zone in new[] { 0, 1, 4 })
        {
            await target.WriteAsync(zone * Zone, Bytes(0xEE));
        }

        await target.Zones!.ManageAsync(ZoneAction.Finish, Zone, Zone);
        for (int run = 0; run < 2; run++)
        {
            await DiskCopy.RunAsync(source, target, new CopyOptions());
            await AssertSameAsync(source, target);
            Assert.Equal((long[])[2 * Piece, 0, 0, 0, Piece], await PointersAsync(target));
            Assert.Equal(ZoneCondition.Empty, (await ReportAsync(target))[1].Condition);
        }
    }

    [Fact]
    public async Task Full_zones_are_copied_first_where_active_zones_are_limited()
    {
        var limited = Plain with { MaxActiveZones = 2, MaxOpenZones = 1 };
        await using var source = await MakeAsync(Plain, 5);
        foreach (int zone in new[] { 0, 1, 2, 3 })
        {
            await source.WriteAsync(zone * Zone, Bytes(zone + 1));
        }

        await source.Zones!.ManageAsync(ZoneAction.Finish, 2 * Zone, 2 * Zone);
        await using var target = await MakeAsync(limited, 5);
        await DiskCopy.RunAsync(source, target, new CopyOptions());
        await AssertSameAsync(source, target);
        Assert.Equal(await PointersAsync(source), await PointersAsync(target));
    }

    [Fact]
    public async Task More_partly_written_zones_than_the_target_takes_are_refused_before_it_is_touched()
    {
        await using var source = await MakeAsync(Plain, 4);
        await using var target = await MakeAsync(Plain with { MaxActiveZones = 2 }, 4);
        await target.WriteAsync(0, Bytes(0xEE));
        for (int zone = 0; zone < 3; zone++)
        {
            await source.WriteAsync(zone * Zone, Bytes(1));
        }

        var refusal = await Assert.ThrowsAsync<BlockException>(async () => await DiskCopy.RunAsync(source, target, new CopyOptions()));
        Assert.Contains("needs 3 active zones", refusal.Message, StringComparison.Ordinal);
        Assert.Equal((long[])[Piece, 0, 0, 0], await PointersAsync(target));
    }

    [Fact]
    public async Task From_a_plain_disk_zones_are_finished_where_the_active_limit_asks_for_it()
    {
        await using var source = RawOf(5 * Zone, (0, 1), (Zone, 2), (2 * Zone, 3), (3 * Zone, 4));
        await using var target = await MakeAsync(Plain with { MaxActiveZones = 2 }, 5);
        var warnings = new List<string>();
        await DiskCopy.RunAsync(source, target, new CopyOptions { Warn = warnings.Add });
        await AssertSameAsync(source, target);
        Assert.Equal(2, (await ReportAsync(target)).Count(z => z.Condition == ZoneCondition.Full));
        Assert.Contains("2 partly filled zones were finished", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task From_other_zones_the_data_is_copied_and_a_warning_tells_of_the_pointers()
    {
        await using var source = await MakeAsync(Plain, 4);
        await source.WriteAsync(Zone, Bytes(1));
        await source.WriteZeroesAsync(Zone + Piece, Piece);
        await using var target = await MakeAsync(Plain with { ZoneSize = 2 * Zone }, 2);
        var warnings = new List<string>();
        await DiskCopy.RunAsync(source, target, new CopyOptions { Warn = warnings.Add });
        await AssertSameAsync(source, target);
        Assert.Equal((long[])[Zone + Piece, 0], await PointersAsync(target));
        Assert.Contains("the write pointers are not", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_read_only_zone_in_the_target_is_refused_before_anything_changes()
    {
        await using var source = RawOf(3 * Zone, (0, 1));
        await using var target = await MakeAsync(Plain, 3);
        await target.WriteAsync(0, Bytes(0xEE));
        await target.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.ReadOnly);
        var refusal = await Assert.ThrowsAsync<BlockException>(async () => await DiskCopy.RunAsync(source, target, new CopyOptions()));
        Assert.Contains("zone 2 of the target is read-only", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(Piece, (await PointersAsync(target))[0]);
    }

    [Fact]
    public async Task Data_behind_a_zones_capacity_is_refused_by_its_place()
    {
        await using var source = RawOf(2 * Zone, (Zone - Piece, 1));
        await using var target = await MakeAsync(Plain with { ZoneCapacity = Zone - Piece }, 2);
        var refusal = await Assert.ThrowsAsync<CopyException>(async () => await DiskCopy.RunAsync(source, target, new CopyOptions()));
        Assert.Contains($"data at {Zone - Piece}, where zone 0", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task Random_zones_arrive_as_they_are(int seed)
    {
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        var options = Plain with { ConventionalZones = (uint)random.Next(3), ZoneCapacity = Zone - (random.Next(3) * 4096) };
        await using var source = await MakeAsync(options, 12);
        await using var target = await MakeAsync(options with { MaxActiveZones = random.Next(2) == 0 ? 0u : 12u }, 12);
        foreach (var disk in new[] { target, source })
        {
            for (int step = 0; step < 60; step++)
            {
                await StepAsync(disk, random);
            }
        }

        await DiskCopy.RunAsync(
            source, target, new CopyOptions { Parallel = random.Next(1, 9), OutOfOrder = true, SparseBytes = 512 * random.Next(17) });
        await AssertSameAsync(source, target);
        var (wanted, found) = (await ReportAsync(source), await ReportAsync(target));
        Assert.Equal(wanted.Select(z => (z.WritePointer, IsFull(z))), found.Select(z => (z.WritePointer, IsFull(z))));
    }

    private static bool IsFull(ZoneDescriptor zone) => zone.Condition == ZoneCondition.Full;

    private static async Task StepAsync(IBlockDevice disk, Random random)
    {
        var zone = (await ReportAsync(disk))[random.Next(disk.Zones!.Limits.ZoneCount)];
        long room = zone.Type == ZoneType.Conventional ? zone.Length : zone.Condition == ZoneCondition.Full ? 0
            : zone.Start + zone.Capacity - zone.WritePointer;
        long length = Math.Min(room, 512 * random.Next(1, 300));
        if (room > 0 && random.Next(4) > 0)
        {
            byte[] data = new byte[length];
            if (random.Next(3) > 0)
            {
                random.NextBytes(data);
            }

            await disk.WriteAsync(zone.WritePointer, data);
        }
        else if (room > 0 && random.Next(2) == 0)
        {
            await disk.WriteZeroesAsync(zone.WritePointer, length);
        }
        else if (zone.Type != ZoneType.Conventional)
        {
            await disk.Zones!.ManageAsync(random.Next(3) == 0 ? ZoneAction.Reset : ZoneAction.Finish, zone.Start, zone.Length);
        }
    }

    private static byte[] Bytes(int value)
    {
        byte[] bytes = new byte[Piece];
        Array.Fill(bytes, (byte)value);
        return bytes;
    }

    private static RawDevice RawOf(int length, params (int At, int Value)[] pieces)
    {
        byte[] bytes = new byte[length];
        foreach (var (at, value) in pieces)
        {
            Bytes(value).CopyTo(bytes, at);
        }

        var storage = new MemoryStorage();
        storage.WriteAsync(0, bytes).AsTask().GetAwaiter().GetResult();
        return new RawDevice(storage);
    }

    private static async Task<IBlockDevice> MakeAsync(ZonedCreateOptions zoned, int count)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = count * zoned.ZoneSize, Zoned = zoned });
        return await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
    }

    private static async Task<ZoneDescriptor[]> ReportAsync(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[disk.Zones!.Limits.ZoneCount];
        await disk.Zones!.ReportAsync(0, zones);
        return zones;
    }

    private static async Task<long[]> PointersAsync(IBlockDevice disk)
        => [.. (await ReportAsync(disk)).Select(z => z.WritePointer - z.Start)];

    private static async Task AssertSameAsync(IBlockDevice source, IBlockDevice target)
    {
        byte[] wanted = new byte[source.Length], found = new byte[source.Length];
        await source.ReadAsync(0, wanted);
        await target.ReadAsync(0, found);
        Assert.Equal(-1, wanted.AsSpan().CommonPrefixLength(found) == wanted.Length ? -1 : wanted.AsSpan().CommonPrefixLength(found));
    }
}
