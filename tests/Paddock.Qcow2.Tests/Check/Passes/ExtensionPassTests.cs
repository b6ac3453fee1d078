using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Check;
using Paddock.Qcow2.Check.Passes;
using Paddock.Qcow2.Format;
using static Paddock.Qcow2.Tests.Check.Passes.PassBench;

namespace Paddock.Qcow2.Tests.Check.Passes;

/// <summary>The passes over what header extensions name: bitmaps, the zone table, zone attributes.</summary>
public class ExtensionPassTests
{
    private const uint Bitmaps = 0x23852875;
    private const ulong ZonedBit = 32;

    private static ZonedCreateOptions Zones => new() { ZoneSize = 64 << 10 };

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    public async Task Bitmaps_are_counted_only_while_their_autoclear_bit_vouches_for_them(ulong autoclear, ulong counted)
    {
        var bench = await CreateAsync(change: image => Write64(image, 88, autoclear));
        long directory = AddBitmap(bench, out long table, out long data);
        await RunAsync(new BitmapsPass(bench.Context));
        Assert.Equal((counted, counted, counted), (bench.CountOf(directory), bench.CountOf(table), bench.CountOf(data)));
        Assert.Empty(bench.Lines);
    }

    [Fact]
    public async Task Bitmap_directory_outside_the_file_is_reported()
    {
        var bench = await CreateAsync(change: static image => Write64(image, 88, 1));
        AddBitmap(bench, out _, out _);
        BinaryPrimitives.WriteUInt64BigEndian(bench.Context.Image.Extensions[Bitmaps].AsSpan(16), 1UL << 40);
        await RunAsync(new BitmapsPass(bench.Context));
        Assert.Equal(["ERROR bitmap directory at 0x10000000000 of 0x18 bytes lies outside the image"], bench.Lines);
    }

    [Fact]
    public async Task Zone_table_is_counted()
    {
        var bench = await CreateAsync(zoned: Zones);
        await RunAsync(new ZoneTablePass(bench.Context));
        Assert.Equal(1UL, bench.CountOf(bench.Context.Zones!.TableOffset.Value));
    }

    [Fact]
    public async Task Zoned_extension_of_unknown_layout_is_reported_and_keeps_leaks()
    {
        var bench = await CreateAsync(Qcow2Repair.All, zoned: Zones);
        bench.Context.Image.Extensions[CheckedZones.ExtensionType] = new byte[20].Select(static _ => (byte)1).ToArray();
        Assert.True(bench.Context.FixesLeaks);
        await RunAsync(new ZoneTablePass(bench.Context), new ZonedBitPass(bench.Context));
        Assert.False(bench.Context.FixesLeaks);
        Assert.StartsWith("ERROR zoned extension is 20 bytes long", Assert.Single(bench.Lines), StringComparison.Ordinal);
        Assert.Equal(ZonedBit, bench.Context.Image.Incompatible & ZonedBit);
    }

    [Theory]
    [InlineData(Qcow2Repair.None, 0)]
    [InlineData(Qcow2Repair.All, ZonedBit)]
    public async Task Missing_zoned_bit_is_set_by_a_repair(Qcow2Repair repair, ulong bits)
    {
        var bench = await CreateAsync(repair, zoned: Zones, change: static image => Write64(image, 72, 0));
        await RunAsync(new ZoneTablePass(bench.Context), new ZonedBitPass(bench.Context));
        Assert.Equal(bits, bench.Read64(72));
        Assert.Contains("incompatible feature bit 5 (zoned format) is clear", Assert.Single(bench.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pointer_outside_its_zone_is_repaired_to_the_end_of_the_data()
    {
        var bench = await CreateAsync(Qcow2Repair.All, dataClusters: 3, zoned: Zones);
        await RunAsync(new ZoneTablePass(bench.Context));
        long table = bench.Context.Zones!.TableOffset.Value;
        var wrong = new byte[8];
        bench.Context.Zones.Put(wrong, 1UL << 40);

        // the engine has allocated clusters ahead
        bench.Storage.Live.Write(bench.L2 + 24, new byte[Cluster - 24]);
        bench.Storage.Live.Write(table, wrong);
        await RunAsync(new ZonePointersPass(bench.Context));
        var entries = new byte[bench.Context.Zones.TableBytes];
        bench.Storage.Live.Read(table, entries);
        Assert.Equal(3UL * Cluster, bench.Context.Zones.Entry(entries, 0));
        Assert.EndsWith("; now 0xc00", Assert.Single(bench.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pointer_above_unmapped_data_is_noted_and_kept()
    {
        var bench = await CreateAsync(Qcow2Repair.All, zoned: Zones);
        await RunAsync(new ZoneTablePass(bench.Context));
        long table = bench.Context.Zones!.TableOffset.Value;
        var pointer = new byte[8];
        bench.Context.Zones.Put(pointer, 0x11000);
        bench.Storage.Live.Write(table + 8, pointer);
        await RunAsync(new ZonePointersPass(bench.Context));
        Assert.StartsWith("Note: zone 1: write pointer 0x11000", Assert.Single(bench.Lines), StringComparison.Ordinal);
        Assert.Equal((0L, 0L), (bench.Report.Corruptions, bench.Report.CorruptionsFixed));
    }

    [Theory]
    [InlineData(Qcow2Repair.None, 1, 0)]
    [InlineData(Qcow2Repair.All, 0, 1)]
    public async Task Condition_table_without_magic_is_removed_from_the_header(Qcow2Repair repair, long corruptions, long corrected)
    {
        var bench = await CreateAsync(
            repair, dataClusters: 0, zoned: Zones, change: static image => OfflineAsync(image).GetAwaiter().GetResult());
        var extension = bench.Context.Image.Extensions[CheckedConditions.ExtensionType];
        long table = CheckedConditions.OffsetOf(extension).Value;
        Assert.NotEqual(0, table);
        bench.Storage.Live.Write(table, new byte[8]);
        await RunAsync(new ZoneAttributesPass(bench.Context));
        Assert.Equal((corruptions, corrected), (bench.Report.Corruptions, bench.Report.CorruptionsFixed));
        Assert.Contains("has no magic", Assert.Single(bench.Lines), StringComparison.Ordinal);
        await bench.StartAsync(Qcow2Repair.None);
        extension = bench.Context.Image.Extensions[CheckedConditions.ExtensionType];
        Assert.Equal(corrected == 0 ? table : 0, CheckedConditions.OffsetOf(extension).Value);
    }

    private static async Task OfflineAsync(Paddock.Testing.PagedStorage image)
    {
        await using var disk = await Zoned.AttributeBench.OpenAsync(image.Kept());
        await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
    }

    /// <summary>Adds a directory of one bitmap, its table and its data after the end of the file; the parsed header names them.</summary>
    private static long AddBitmap(PassBench bench, out long table, out long data)
    {
        long directory = bench.Context.Image.ClustersOf(bench.Storage.Length) * Cluster;
        (table, data) = (directory + Cluster, directory + (2 * Cluster));
        bench.Storage.Live.SetLength(data + Cluster);
        bench.Write64(directory, (ulong)table);
        bench.Write64(directory + 8, 1UL << 32);
        bench.Write64(table, (ulong)data);
        bench.Context.RefreshLength();
        var extension = new byte[24];
        BinaryPrimitives.WriteUInt32BigEndian(extension, 1);
        BinaryPrimitives.WriteUInt64BigEndian(extension.AsSpan(8), 24);
        BinaryPrimitives.WriteUInt64BigEndian(extension.AsSpan(16), (ulong)directory);
        bench.Context.Image.Extensions[Bitmaps] = extension;
        return directory;
    }
}
