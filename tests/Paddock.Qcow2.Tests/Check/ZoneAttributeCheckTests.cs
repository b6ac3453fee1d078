using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;
using Paddock.Testing;
using static Paddock.Qcow2.Tests.Zoned.AttributeBench;

namespace Paddock.Qcow2.Tests.Check;

/// <summary>Tables of conditions and extensions that are broken: opened with a warning, found by the check, fixed by a repair.</summary>
public class ZoneAttributeCheckTests
{
    public enum Part
    {
        Conditions,
        Directory,
        Cluster,
        Slot,
    }

    [Theory]
    [InlineData(Part.Conditions, 0, 0x40)]
    [InlineData(Part.Conditions, 11, 1)]
    [InlineData(Part.Conditions, 12, 1)]
    [InlineData(Part.Conditions, 17, 1)]
    [InlineData(Part.Directory, 3, 1)]
    [InlineData(Part.Directory, 11, 1)]
    [InlineData(Part.Directory, 22, 0x01)]
    [InlineData(Part.Directory, 16, 0x80)]
    [InlineData(Part.Directory, 20, 0x7f)]
    [InlineData(Part.Cluster, 0, 1)]
    [InlineData(Part.Cluster, 11, 1)]
    [InlineData(Part.Slot, 0, 1)]
    [InlineData(Part.Slot, 7, 1)]
    [InlineData(Part.Slot, 8, 4)]
    [InlineData(Part.Slot, 20, 1)]
    public async Task Broken_table_is_warned_about_found_and_repaired(Part part, int at, byte flip)
    {
        var storage = await MakeAsync(cluster: 512);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
            await disk.Zones!.Attributes.WriteExtensionAsync(0, Extension(1));
        }

        var extension = await ReadAsync(storage);
        var entry = new byte[8];
        await storage.ReadAsync(extension.DirectoryOffset.Value + ZoneExtensionDirectory.EntryAt(0), entry);
        long cluster = BinaryPrimitives.ReadInt64BigEndian(entry);
        await FlipAsync(storage, at + part switch
        {
            Part.Conditions => extension.ConditionOffset.Value,
            Part.Directory => extension.DirectoryOffset.Value,
            Part.Cluster => cluster,
            _ => cluster + ZoneExtensionSlot.SizeFor(64),
        }, flip);

        await using (var disk = await OpenAsync(storage.Clone()))
        {
            Assert.NotEmpty(((IQcow2Device)disk).Warnings);
            Assert.Equal(part == Part.Conditions ? 1 : -1, await ExtensionAsync(disk, 0));
            Assert.Equal(part == Part.Conditions ? ZoneCondition.Empty : ZoneCondition.Offline, await ConditionAsync(disk, 1));
            await disk.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.ReadOnly);
            await disk.Zones!.Attributes.WriteExtensionAsync(3, Extension(3));
            Assert.Equal(3, await ExtensionAsync(disk, 3));
        }

        Assert.True((await Qcow2Image.CheckAsync(storage, Qcow2Repair.None)).Corruptions > 0);
        var lines = new List<string>();
        var repaired = await Qcow2Image.CheckAsync(storage, Qcow2Repair.All, lines.Add);
        Assert.True(repaired.CorruptionsFixed > 0 && repaired.Corruptions == 0, string.Join('\n', lines));
        await CheckCleanAsync(storage);
        await using var again = await OpenAsync(storage);
        Assert.Empty(((IQcow2Device)again).Warnings);
        Assert.Equal(part == Part.Conditions ? 1 : -1, await ExtensionAsync(again, 0));
    }

    [Theory]
    [InlineData(8, 0L)]
    [InlineData(24, 0L)]
    [InlineData(8, 512L)]
    [InlineData(24, 512L)]
    public async Task Tables_that_lie_on_other_metadata_are_ignored(int field, long offset)
    {
        var storage = await MakeAsync(cluster: 512);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
            await disk.Zones!.Attributes.WriteExtensionAsync(0, Extension(1));
        }

        long zoneTable;
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true }))
        {
            zoneTable = disk.Info.Zoned!.TableOffset;
        }

        var value = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(value, offset == 0 ? zoneTable : offset);
        await storage.WriteAsync(await FindAsync(storage) + field, value);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.NotEmpty(((IQcow2Device)disk).Warnings);
            await disk.Zones!.AppendAsync(3 * Zone, new byte[512]);
            await disk.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.ReadOnly);
            await disk.Zones!.Attributes.WriteExtensionAsync(5, Extension(5));
        }

        await using var again = await OpenAsync(storage);
        Assert.Equal((5, ZoneCondition.ReadOnly), (await ExtensionAsync(again, 5), await ConditionAsync(again, 2)));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(16)]
    [InlineData(20)]
    public async Task Hostile_sizes_open_without_the_extension_and_free_no_leak(int field)
    {
        var storage = await MakeAsync(cluster: 512);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline);
            await disk.Zones!.Attributes.WriteExtensionAsync(0, Extension(1));
        }

        await storage.WriteAsync(await FindAsync(storage) + field, new byte[] { 0xff, 0xff, 0xff, 0xff });
        await using (var disk = await OpenAsync(storage))
        {
            Assert.NotEmpty(((IQcow2Device)disk).Warnings);
            await Assert.ThrowsAsync<BlockException>(() => disk.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.Offline).AsTask());
        }

        Assert.Equal(0, (await Qcow2Image.CheckAsync(storage, Qcow2Repair.All)).LeaksFixed);
    }

    private static async Task<long> FindAsync(PagedStorage storage)
    {
        var header = new byte[512];
        await storage.ReadAsync(0, header);
        int at = Qcow2Header.SizeV3;
        foreach (var extension in HeaderExtension.ParseAll(header.AsSpan(at)))
        {
            if (extension.Type == HeaderExtension.Paddock)
            {
                return at + HeaderExtension.HeadSize;
            }

            at += extension.TotalSize;
        }

        throw new InvalidOperationException("the image has no extension of ours");
    }

    private static async Task<PaddockExtension> ReadAsync(PagedStorage storage)
    {
        var data = new byte[PaddockExtension.Size];
        await storage.ReadAsync(await FindAsync(storage), data);
        return PaddockExtension.Parse(data, 512, storage.Length, out _)!.Value;
    }

    private static async Task FlipAsync(PagedStorage storage, long at, byte bits)
    {
        var one = new byte[1];
        await storage.ReadAsync(at, one);
        one[0] ^= bits;
        await storage.WriteAsync(at, one);
    }
}
