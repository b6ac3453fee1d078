using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Qcow2.Tests.Check;

/// <summary>
/// Images that the zoned proposal's own code wrote, with its faults: checked, repaired, and compared with QEMU without their zones.
/// </summary>
public class SampleTests
{
    public static TheoryData<string> Names =>
    [
        "nz64-bit5", "z27-np2", "z60-last", "z60-last-finished", "z61-all", "z64-bit5-byhand", "z64-cap6", "z64-cl4k", "z64-conv2",
        "z64-crash", "z64-foreign", "z64-fresh", "z64-leakfixed", "z64-used", "z64-used-resetall", "z8g-wrap",
    ];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Repaired_sample_has_no_errors_for_us_and_for_QEMU(string name)
    {
        var storage = await LoadAsync(name);
        await Qcow2Image.CheckAsync(storage, Qcow2Repair.All);
        List<string> lines = [];
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, string.Join('\n', lines));

        // QEMU refuses bit 5; without it, it takes the zone table for a leak and for nothing else
        using var peer = new CheckAgainstQemu();
        await peer.StoreAsync(storage);
        byte bit = (byte)(peer.Read64(72) & ~0x20UL);
        peer.Patch(79, bit);
        var (exit, output, error) = CheckAgainstQemu.Run("qemu-img", "check", "-f", "qcow2", peer.Path);
        Assert.True(exit == (name == "nz64-bit5" ? 0 : 3), output + error);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_repair_of_leaks_never_frees_the_zone_table(string name)
    {
        var storage = await LoadAsync(name);
        var before = new byte[512];
        var after = new byte[512];
        long table = name == "z64-cl4k" ? 12288 : 196608;
        await storage.ReadAsync(table, before);
        if (name == "z64-leakfixed")
        {
            // the refcount of its table is 0: a repair of leaks alone cannot fix that, and reports it
            await Assert.ThrowsAsync<BlockException>(async () => await Qcow2Image.CheckAsync(storage, Qcow2Repair.Leaks));
            return;
        }

        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.Leaks);
        await storage.ReadAsync(table, after);
        Assert.Equal(before, after);
        Assert.Equal(0, report.LeaksFixed);
    }

    [Fact]
    public async Task A_freed_and_zeroed_zone_table_gets_its_cluster_and_pointers_back()
    {
        var storage = await LoadAsync("z64-leakfixed");
        List<string> lines = [];
        await Qcow2Image.CheckAsync(storage, Qcow2Repair.All, lines.Add);
        var table = new byte[64];
        await storage.ReadAsync(196608, table);
        long[] pointers = [.. Enumerable.Range(0, 8).Select(i => BinaryPrimitives.ReadInt64LittleEndian(table.AsSpan(i * 8)))];

        // zone 0's entry, 0, is valid: it is EMPTY. The other pointers stand at the end of what is mapped
        Assert.Contains("ERROR cluster 3 refcount=0 reference=1", lines);
        Assert.Equal(0, pointers[0]);
        Assert.Equal(0x820000, pointers[1]);
        Assert.Equal(0x1800000, pointers[2]);
        Assert.All(pointers.Index().Skip(1), static p => Assert.InRange(p.Item, p.Index * 0x800000L, (p.Index + 1) * 0x800000L));
    }

    [Theory]
    [InlineData("nz64-bit5", "ERROR incompatible feature bit 5 (zoned format) is set, but the image has no zoned extension")]
    [InlineData("z64-used", "ERROR incompatible feature bit 5 (zoned format) is clear, but the image has a zoned extension")]
    [InlineData("z64-v2", "ERROR zoned extension in a version 2 image; zoned images are version 3")]
    [InlineData(
        "z64-crash", "Note: zone 1: write pointer 0x810000, but nothing is mapped just below it: data lost in a crash reads as zeroes")]
    [InlineData("z8g-wrap", "ERROR zone 17: write pointer entry 0x10000000: whole sectors from 0x110000000 to 0x120000000 are valid")]
    public async Task The_faults_of_a_sample_are_named(string name, string expected)
    {
        List<string> lines = [];
        await Qcow2Image.CheckAsync(await LoadAsync(name), Qcow2Repair.None, lines.Add);
        Assert.Contains(expected, lines);
    }

    [Fact]
    public async Task An_image_set_right_by_hand_has_nothing_to_report()
    {
        List<string> lines = [];
        await Qcow2Image.CheckAsync(await LoadAsync("z64-bit5-byhand"), Qcow2Repair.None, lines.Add);
        Assert.Empty(lines);
    }

    internal static async Task<MemoryStorage> LoadAsync(string name)
    {
        using var file = File.OpenRead(Path.Combine(Folder(), name + ".qcow2.gz"));
        using var unpacked = new GZipStream(file, CompressionMode.Decompress);
        using var bytes = new MemoryStream();
        await unpacked.CopyToAsync(bytes);
        return await CheckAgainstQemu.LoadAsync(bytes.ToArray());
    }

    private static string Folder([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "..", "Samples");
}
