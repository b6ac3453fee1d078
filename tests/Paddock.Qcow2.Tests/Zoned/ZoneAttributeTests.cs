using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Testing;
using static Paddock.Qcow2.Tests.Zoned.AttributeBench;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Conditions and descriptor extensions of zones, kept in the image (zoned-qcow2.md 1.4).</summary>
public class ZoneAttributeTests
{
    [Theory]
    [InlineData(ZoneLayout.A, 512)]
    [InlineData(ZoneLayout.A, 65536)]
    [InlineData(ZoneLayout.B, 4096)]
    [InlineData(ZoneLayout.C, 4096)]
    public async Task Conditions_and_extensions_persist_and_check_counts_their_tables(ZoneLayout layout, int cluster)
    {
        var storage = await MakeAsync(layout, cluster);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.AppendAsync(Zone, Extension(9, 4096));
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly);
            await disk.Zones!.Attributes.SetConditionAsync(2, ZoneCondition.Offline);
            await disk.Zones!.Attributes.WriteExtensionAsync(3, Extension(3));
            await disk.Zones!.Attributes.WriteExtensionAsync(4, Extension(4));
            await disk.Zones!.AppendAsync(4 * Zone, new byte[512]);
            Assert.Equal(ZoneCondition.Closed, await ConditionAsync(disk, 3));
        }

        await CheckCleanAsync(storage);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.Equal(ZoneCondition.ReadOnly, await ConditionAsync(disk, 1));
            Assert.Equal(ZoneCondition.Offline, await ConditionAsync(disk, 2));
            Assert.Equal(ZoneCondition.Closed, await ConditionAsync(disk, 3));
            Assert.Equal((3, 4, -1), (await ExtensionAsync(disk, 3), await ExtensionAsync(disk, 4), await ExtensionAsync(disk, 5)));
            var read = new byte[4096];
            await disk.ReadAsync(Zone, read);
            Assert.Equal(Extension(9, 4096), read);
            Assert.Equal(ZoneError.ReadOnly, await RefusalAsync(() => disk.WriteAsync(Zone + 4096, new byte[512])));
            Assert.Equal(ZoneError.Offline, await RefusalAsync(() => disk.ReadAsync(2 * Zone, new byte[512])));
            Assert.Equal(ZoneError.ReadOnly, await RefusalAsync(() => disk.Zones!.ManageAsync(ZoneAction.Reset, 0, disk.Length)));
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Empty);
            await disk.Zones!.Attributes.SetConditionAsync(2, ZoneCondition.Empty);
            await disk.Zones!.AppendAsync(Zone, new byte[512]);
            await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, disk.Length);
            Assert.Equal((-1, -1), (await ExtensionAsync(disk, 3), await ExtensionAsync(disk, 4)));
            await disk.Zones!.AppendAsync(4 * Zone, new byte[512]);
        }

        await CheckCleanAsync(storage);
        await using var last = await OpenAsync(storage);
        Assert.Equal((ZoneCondition.Empty, -1), (await ConditionAsync(last, 3), await ExtensionAsync(last, 3)));
        Assert.Equal((ZoneCondition.Closed, -1), (await ConditionAsync(last, 4), await ExtensionAsync(last, 4)));
    }

    [Fact]
    public async Task Zone_that_becomes_read_only_keeps_buffered_data_and_frees_its_resource()
    {
        var storage = await MakeAsync(active: 1);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.AppendAsync(0, Extension(7, 1024));
            await disk.Zones!.Attributes!.SetConditionAsync(0, ZoneCondition.ReadOnly);
            await disk.Zones!.AppendAsync(Zone, new byte[512]);
            Assert.Equal(
                ZoneError.TooManyActive, await RefusalAsync(() => disk.Zones!.Attributes.SetConditionAsync(0, ZoneCondition.Empty)));
        }

        await using var again = await OpenAsync(storage);
        var read = new byte[1536];
        await again.ReadAsync(0, read);
        Assert.Equal([.. Extension(7, 1024), .. new byte[512]], read);
        await again.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        await again.Zones!.Attributes!.SetConditionAsync(0, ZoneCondition.Empty);
        Assert.Equal(1024, await again.Zones!.AppendAsync(0, new byte[512]));
    }

    [Fact]
    public async Task Extension_holds_an_active_resource_until_a_reset()
    {
        var storage = await MakeAsync(active: 1);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.WriteExtensionAsync(0, Extension(1));
            Assert.Equal(ZoneError.TooManyActive, await RefusalAsync(() => disk.Zones!.Attributes.WriteExtensionAsync(1, Extension(1))));
            Assert.Equal(
                ZoneError.InvalidTransition, await RefusalAsync(() => disk.Zones!.Attributes.WriteExtensionAsync(0, Extension(2))));
            await disk.Zones!.ManageAsync(ZoneAction.Open, 0, Zone);
            await disk.Zones!.ManageAsync(ZoneAction.Close, 0, Zone);
            Assert.Equal(ZoneCondition.Closed, await ConditionAsync(disk, 0));
        }

        await using var again = await OpenAsync(storage);
        Assert.Equal(ZoneError.TooManyActive, await RefusalAsync(async () => await again.Zones!.AppendAsync(Zone, new byte[512])));
        await again.Zones!.ManageAsync(ZoneAction.Reset, 0, Zone);
        await again.Zones!.AppendAsync(Zone, new byte[512]);
        await again.Zones!.ManageAsync(ZoneAction.Finish, Zone, Zone);
        await again.Zones!.Attributes!.WriteExtensionAsync(0, Extension(5));
        await again.Zones!.ManageAsync(ZoneAction.Finish, 0, Zone);
        Assert.Equal((ZoneCondition.Full, 5), (await ConditionAsync(again, 0), await ExtensionAsync(again, 0)));
        await again.Zones!.AppendAsync(2 * Zone, new byte[512]);
    }

    [Fact]
    public async Task Read_only_conventional_zone_keeps_its_data()
    {
        var storage = await MakeAsync(conventional: 1);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.WriteAsync(4096, Extension(9, 1024));
            await disk.Zones!.Attributes!.SetConditionAsync(0, ZoneCondition.ReadOnly);
            Assert.Equal(Extension(9, 1024), await ReadAsync(disk));
        }

        await using var again = await OpenAsync(storage);
        Assert.Equal(Extension(9, 1024), await ReadAsync(again));

        static async Task<byte[]> ReadAsync(IBlockDevice disk)
        {
            var read = new byte[1024];
            await disk.ReadAsync(4096, read);
            return read;
        }
    }

    [Fact]
    public async Task Wrong_zones_and_sizes_are_rejected()
    {
        await using var disk = await OpenAsync(await MakeAsync(conventional: 1));
        Assert.Equal(ZoneError.OutOfRange, await RefusalAsync(() => disk.Zones!.Attributes!.SetConditionAsync(8, ZoneCondition.Offline)));
        Assert.Equal(ZoneError.OutOfRange, await RefusalAsync(() => disk.Zones!.Attributes!.WriteExtensionAsync(-1, Extension(1))));
        Assert.Equal(ZoneError.Conventional, await RefusalAsync(() => disk.Zones!.Attributes!.WriteExtensionAsync(0, Extension(1))));
        await Assert.ThrowsAsync<BlockException>(() => disk.Zones!.Attributes!.WriteExtensionAsync(1, Extension(1, 63)).AsTask());
        await Assert.ThrowsAsync<ArgumentException>(() => disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Full).AsTask());
        Assert.Equal(-1, await ExtensionAsync(disk, 1000));
    }

    [Fact]
    public async Task Resizing_makes_room_for_extensions_of_new_zones_and_loses_none()
    {
        var storage = await MakeAsync(cluster: 512, zones: 4);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.WriteExtensionAsync(0, Extension(1));
            await disk.Zones!.Attributes.WriteExtensionAsync(3, Extension(2));
            await disk.Zones!.Attributes.SetConditionAsync(1, ZoneCondition.Offline);
            Assert.Equal(ZoneError.InvalidTransition, await RefusalAsync(() => disk.ResizeAsync(3 * Zone)));
            await disk.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone);
            await disk.ResizeAsync(3 * Zone);
            await disk.ResizeAsync(40 * Zone);
            await disk.Zones!.Attributes.WriteExtensionAsync(38, Extension(3));
            await disk.Zones!.Attributes.SetConditionAsync(39, ZoneCondition.ReadOnly);
            Assert.Equal(ZoneError.ReadOnly, await RefusalAsync(() => disk.ResizeAsync(38 * Zone)));
        }

        await CheckCleanAsync(storage);
        await using var again = await OpenAsync(storage);
        Assert.Equal((1, -1, 3), (await ExtensionAsync(again, 0), await ExtensionAsync(again, 3), await ExtensionAsync(again, 38)));
        Assert.Equal((ZoneCondition.Offline, ZoneCondition.ReadOnly), (await ConditionAsync(again, 1), await ConditionAsync(again, 39)));
    }

    [Fact]
    public async Task Layout_change_keeps_attributes()
    {
        var storage = await MakeAsync();
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.WriteExtensionAsync(0, Extension(1));
            await disk.Zones!.Attributes.SetConditionAsync(1, ZoneCondition.Offline);
            await ((IQcow2Device)disk).SetZoneLayoutAsync(ZoneLayout.C);
            var info = ((IQcow2Device)disk).Info.Zoned!;
            Assert.Equal((0, 1, 1, 64), (info.ReadOnlyZones, info.OfflineZones, info.ExtendedZones, info.ExtensionBytes));
        }

        await CheckCleanAsync(storage);
        await using var again = await OpenAsync(storage);
        Assert.Equal((1, ZoneCondition.Offline), (await ExtensionAsync(again, 0), await ConditionAsync(again, 1)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(328)]
    [InlineData(320)]
    [InlineData(304)]
    public async Task Header_keeps_foreign_extensions_and_fields_never_cross_a_sector(int foreign)
    {
        // the header, 112 bytes with layout A's 56 behind them, then a foreign extension that ends near the sector's end
        var storage = await MakeAsync();
        var header = new byte[4096];
        await storage.ReadAsync(0, header);
        var extensions = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3)).FindAll(e => e.Type == HeaderExtension.Zoned);
        if (foreign > 0)
        {
            extensions.Add(new HeaderExtension(0x12345678, Extension(8, foreign - HeaderExtension.HeadSize)));
        }

        header.AsSpan(Qcow2Header.SizeV3).Clear();
        HeaderExtension.WriteAll(extensions, header.AsSpan(Qcow2Header.SizeV3));
        await storage.WriteAsync(0, header);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
            await disk.Zones!.Attributes.WriteExtensionAsync(0, Extension(1));
        }

        await CheckCleanAsync(storage);
        await storage.ReadAsync(0, header);
        int at = Qcow2Header.SizeV3;
        foreach (var extension in HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3)))
        {
            int data = at + HeaderExtension.HeadSize;
            Assert.True(extension.Type != HeaderExtension.Paddock || data / 512 == (data + extension.Data.Length - 1) / 512);
            at += extension.TotalSize;
        }

        var kept = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3)).Find(e => e.Type == 0x12345678);
        Assert.Equal(foreign > 0 ? Extension(8, foreign - HeaderExtension.HeadSize) : null, kept?.Data);
    }

    [Fact]
    public async Task Backing_file_name_is_moved_to_make_room_for_an_extension()
    {
        var storage = new PagedStorage("image");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 4 * Zone, ClusterSize = 4096, BackingFile = "the/file/beneath", BackingFormat = "raw",
                Zoned = new ZonedCreateOptions { ZoneSize = Zone },
        });
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { NoBacking = true }))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly);
        }

        await using var again = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { NoBacking = true });
        Assert.Equal(("the/file/beneath", 1), (again.Info.BackingFile, again.Info.Zoned!.ReadOnlyZones));
        await CheckCleanAsync(storage);
    }

    [Fact]
    public async Task Later_revision_keeps_its_further_fields_and_unknown_version_is_unchanged()
    {
        var storage = await MakeAsync();
        var header = new byte[4096];
        await storage.ReadAsync(0, header);
        var extensions = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3));
        var data = new byte[64];
        data[3] = 1;
        data.AsSpan(48).Fill(0xAB);
        extensions.Add(new HeaderExtension(HeaderExtension.Paddock, data));
        HeaderExtension.WriteAll(extensions, header.AsSpan(Qcow2Header.SizeV3));
        await storage.WriteAsync(0, header);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
        }

        await storage.ReadAsync(0, header);
        var now = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3)).Single(e => e.Type == HeaderExtension.Paddock).Data;
        Assert.Equal(data[32..], now[32..]);
        Assert.Equal(8, now[7]);

        extensions[^1].Data[3] = 2;
        HeaderExtension.WriteAll(extensions, header.AsSpan(Qcow2Header.SizeV3));
        await storage.WriteAsync(0, header);
        await using var other = await OpenAsync(storage);
        var refused = await Assert.ThrowsAsync<BlockException>(
            () => other.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline).AsTask());
        Assert.Contains("version is 2", refused.Message, StringComparison.Ordinal);
    }
}
