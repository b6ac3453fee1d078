using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Overlays of zoned images: they begin with the zones of their base, and change independently of it.</summary>
public class ZonedCloneTests
{
    private const int Zone = 256 << 10, Count = 8, Size = (Count * Zone) - 65536;

    private static readonly DiskOptions AnyBacking = new() { Backing = BackingPolicy.Any };

    [Theory]
    [InlineData(ZoneLayout.A, 65536)]
    [InlineData(ZoneLayout.B, 4096)]
    [InlineData(ZoneLayout.C, 4096)]
    public async Task Clone_has_the_pointers_conditions_extensions_and_data_of_its_base(ZoneLayout layout, int cluster)
    {
        using var folder = new TempFolder();
        string before = await MakeBaseAsync(folder, layout, cluster);
        await using var clone = await CloneAsync(folder);
        Assert.Equal(before, await StateAsync(clone));
        Assert.Equal(layout, clone.Info.Zoned!.Layout);
        await clone.DisposeAsync();
        await CheckAsync(folder.File("clone"));
        await using var again = await Qcow2Disk.OpenAsync(folder.File("clone"), AnyBacking);
        Assert.Equal(before, await StateAsync(again));
    }

    [Fact]
    public async Task Reset_zone_of_a_clone_reads_as_zeroes_and_the_base_keeps_its_data()
    {
        using var folder = new TempFolder();
        string before = await MakeBaseAsync(folder, ZoneLayout.A, 65536);
        await using (var clone = await CloneAsync(folder))
        {
            await clone.Zones!.ManageAsync(ZoneAction.Reset, 2L * Zone, Zone);
            Assert.All(await ReadAsync(clone, 2, Zone), static b => Assert.Equal(0, b));
            await clone.Zones!.AppendAsync(2L * Zone, Filled(512, 99));
            byte[] found = await ReadAsync(clone, 2, Zone);
            Assert.All(found[..512], static b => Assert.Equal(99, b));
            Assert.All(found[512..], static b => Assert.Equal(0, b));
        }

        await using var again = await Qcow2Disk.OpenAsync(folder.File("clone"), AnyBacking);
        Assert.All((await ReadAsync(again, 2, Zone))[512..], static b => Assert.Equal(0, b));
        await CheckAsync(folder.File("clone"));
        await using var bottom = await Qcow2Disk.OpenAsync(folder.File("base"), new DiskOptions { ReadOnly = true });
        Assert.Equal(before, await StateAsync(bottom));
    }

    [Fact]
    public async Task Base_with_other_zones_or_none_is_refused()
    {
        using var folder = new TempFolder();
        await MakeBaseAsync(folder, ZoneLayout.A, 65536);
        await (await Qcow2Disk.CreateAsync(folder.File("plain"), Size)).DisposeAsync();
        ZonedCreateOptions[] others =
        [
            Zones() with { ZoneSize = 2 * Zone }, Zones() with { ConventionalZones = 2 }, Zones() with { ZoneCapacity = Zone / 2 },
        ];
        foreach (var other in others)
        {
            await RefusedAsync(folder, "base", other, "leave the options out");
        }

        await RefusedAsync(folder, "plain", Zones(), "has none");
        await Assert.ThrowsAsync<BlockException>(() => CloneAsync(folder, "new", Size - 65536));
        Assert.False(File.Exists(folder.File("new")));

        // what another program made is refused when it is opened
        await using (var clone = await CloneAsync(folder))
        {
        }

        File.Move(folder.File("plain"), folder.File("base"), overwrite: true);
        var e = await Assert.ThrowsAsync<BlockException>(() => Qcow2Disk.OpenAsync(folder.File("clone"), AnyBacking));
        Assert.Contains("has zones and its backing file", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Longer_clone_has_further_empty_zones_and_whole_zones_can_be_left_out()
    {
        using var folder = new TempFolder();
        await MakeBaseAsync(folder, ZoneLayout.A, 65536);
        await using var longer = await CloneAsync(folder, "longer", 2 * Count * Zone);
        var zones = new ZoneDescriptor[2 * Count];
        Assert.Equal(zones.Length, await longer.Zones!.ReportAsync(0, zones));
        Assert.All(zones[Count..], static z => Assert.Equal(ZoneCondition.Empty, z.Condition));
        await using var shorter = await CloneAsync(folder, "shorter", 3 * Zone);
        Assert.Equal(3, await shorter.Zones!.ReportAsync(0, zones));
    }

    [Fact]
    public async Task Random_changes_of_a_clone_are_committed_and_flattened_as_to_a_copy()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int round = 0; round < 6; round++)
        {
            using var folder = new TempFolder();
            await MakeBaseAsync(folder, (ZoneLayout)random.Next(3), random.Next(2) == 0 ? 4096 : 65536);
            File.Copy(folder.File("base"), folder.File("copy"));
            string expected;
            await using (var clone = await CloneAsync(folder))
            await using (var copy = await Qcow2Disk.OpenAsync(folder.File("copy")))
            {
                for (int i = 0; i < 60; i++)
                {
                    int kind = random.Next(10), zone = random.Next(Count), length = 512 * random.Next(1, 200), value = random.Next(1, 255);
                    await SameAsync(clone, copy, d => ChangeAsync(d, kind, zone, length, (byte)value));
                }

                expected = await StateAsync(copy);
                Assert.Equal(expected, await StateAsync(clone));
            }

            File.Copy(folder.File("clone"), folder.File("flat"));
            await FlattenAsync(folder.File("flat"));
            await CommitAsync(folder.File("clone"));
            foreach (string name in new[] { "base", "clone", "flat" })
            {
                await CheckAsync(folder.File(name));
                await using var disk = await Qcow2Disk.OpenAsync(folder.File(name), AnyBacking);
                Assert.True(expected == await StateAsync(disk), $"seed {seed}, round {round}: {name}");
                Assert.Equal(name == "clone" ? "base" : null, disk.Info.BackingFile);
            }
        }
    }

    private static async ValueTask ChangeAsync(Qcow2Disk disk, int kind, int zone, int length, byte value)
    {
        long start = (long)zone * Zone, end = Math.Min(Size, start + Zone);
        switch (kind)
        {
            case 0:
                await disk.Zones!.ManageAsync(ZoneAction.Reset, start, end - start);
                break;
            case 1:
                await disk.Zones!.ManageAsync(ZoneAction.Finish, start, end - start);
                break;
            case 2:
                await disk.Zones!.Attributes!.SetConditionAsync(zone, (ZoneCondition)(value % 3 == 0 ? 13 : 1));
                break;
            case 3:
                await disk.Zones!.Attributes!.WriteExtensionAsync(zone, Filled(64, value));
                break;
            case 4:
                await disk.WriteAsync(value * 512, Filled(length, value));
                break;
            case 5:
                await disk.FlushAsync();
                break;
            default:
                await disk.Zones!.AppendAsync(start, Filled(length, value));
                break;
        }
    }

    private static async Task SameAsync(Qcow2Disk one, Qcow2Disk other, Func<Qcow2Disk, ValueTask> change)
        => Assert.Equal(await ResultAsync(one, change), await ResultAsync(other, change));

    private static async Task<string> ResultAsync(Qcow2Disk disk, Func<Qcow2Disk, ValueTask> change)
    {
        try
        {
            await change(disk);
            return "";
        }
        catch (BlockException e)
        {
            return e.Message;
        }
    }

    private static async Task CommitAsync(string path)
    {
        var wanted = new CommitBase(null);
        var node = await new ImageOpener("test", TextWriter.Null).OpenAsync(path, new OpenSettings { ReadOnly = false, Base = wanted });
        await node.UseAsync(async () =>
        {
            ZoneChain.RequireCommittable(node, wanted.Found!);
            await new CommitWork(node.Device, wanted.Found!.Device, ZoneChain.BelowZones(wanted.Found))
                .RunAsync(0, null, TimeProvider.System);
            await ZoneChain.CommitZonesAsync(node, wanted.Found);
            await node.Qcow2!.EmptyAsync();
        });
    }

    private static async Task FlattenAsync(string path)
    {
        var node = await new ImageOpener("test", TextWriter.Null).OpenAsync(path, new OpenSettings { ReadOnly = false });
        await node.UseAsync(async () =>
        {
            await new RebaseWork(node, node.Backing, null, compress: false).RunAsync(null);
            await node.Qcow2!.SetBackingFileAsync(null, null);
        });
    }

    private static async Task RefusedAsync(TempFolder folder, string name, ZonedCreateOptions zones, string says)
    {
        var options = new Qcow2CreateOptions { BackingFile = name, BackingFormat = "qcow2", Zoned = zones };
        var e = await Assert.ThrowsAsync<BlockException>(() => Qcow2Disk.CreateAsync(folder.File("new"), Size, options));
        Assert.Contains(says, e.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder.File("new")));
    }

    private static ZonedCreateOptions Zones() => new() { ZoneSize = Zone, ConventionalZones = 1, MaxActiveZones = 6 };

    private static Task<Qcow2Disk> CloneAsync(TempFolder folder, string name = "clone", long size = Size)
        => Qcow2Disk.CreateAsync(folder.File(name), size, new Qcow2CreateOptions { BackingFile = "base", BackingFormat = "qcow2" });

    private static async Task<string> MakeBaseAsync(TempFolder folder, ZoneLayout layout, int cluster)
    {
        var options = new Qcow2CreateOptions { ClusterSize = cluster, Zoned = Zones() with { Layout = layout } };
        await using var disk = await Qcow2Disk.CreateAsync(folder.File("base"), Size, options);
        await disk.WriteAsync(4096, Filled(70000, 1));
        await disk.Zones!.AppendAsync(1L * Zone, Filled(100 << 10, 2));
        await disk.Zones.AppendAsync(2L * Zone, Filled(Zone, 3));
        await disk.Zones.AppendAsync(3L * Zone, Filled(512, 4));
        await disk.Zones.ManageAsync(ZoneAction.Finish, 3L * Zone, Zone);
        await disk.Zones.Attributes!.WriteExtensionAsync(4, Filled(64, 5));
        await disk.Zones.AppendAsync(4L * Zone, Filled(1024, 5));
        await disk.Zones.AppendAsync(5L * Zone, Filled(2048, 6));
        await disk.Zones.Attributes.SetConditionAsync(5, ZoneCondition.ReadOnly);
        await disk.Zones.Attributes.WriteExtensionAsync(6, Filled(64, 7));
        await disk.FlushAsync();
        return await StateAsync(disk);
    }

    private static async Task<string> StateAsync(Qcow2Disk disk)
    {
        var zones = new ZoneDescriptor[Count];
        await disk.Zones!.ReportAsync(0, zones);
        var text = new List<string>();
        for (int i = 0; i < Count; i++)
        {
            var extension = new byte[64];
            bool isExtended = await disk.Zones.Attributes!.ReadExtensionAsync(i, extension);
            var condition = zones[i].Condition is ZoneCondition.ImplicitlyOpen ? ZoneCondition.Closed : zones[i].Condition;
            byte[] data = await ReadAsync(disk, i, (int)Math.Min(Zone, Size - ((long)i * Zone)));
            text.Add($"{condition} {zones[i].WritePointer} {isExtended} {extension[0]} {Convert.ToHexString(SHA256.HashData(data))[..8]}");
        }

        return string.Join('\n', text);
    }

    private static async Task<byte[]> ReadAsync(Qcow2Disk disk, int zone, int length)
    {
        var bytes = new byte[length];
        await disk.ReadAsync((long)zone * Zone, bytes);
        return bytes;
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private static async Task CheckAsync(string path)
    {
        var storage = Posix.FileStorage.Open(new Posix.FileOpenOptions { Path = path, ReadOnly = true });
        await using (storage)
        {
            var lines = new List<string>();
            var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
            Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, path + ": " + string.Join('\n', lines));
        }
    }
}
