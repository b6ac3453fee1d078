using Paddock.Block;
using Paddock.Qcow2.Tests.Check;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Images that the proposal's own code wrote open as the specification says, whatever that code made of them.</summary>
public class ZonedSampleTests
{
    private const long MiB = 1 << 20;

    private const ZoneCondition Empty = ZoneCondition.Empty;
    private const ZoneCondition Closed = ZoneCondition.Closed;
    private const ZoneCondition Full = ZoneCondition.Full;
    private const ZoneCondition Offline = ZoneCondition.Offline;
    private const ZoneCondition Conv = ZoneCondition.NotWritePointer;

    public static TheoryData<string, ZoneCondition[], long[]> Samples => new()
    {
        { "z64-fresh", [Empty, Empty, Empty, Empty, Empty, Empty, Empty, Empty], [] },
        {
            "z64-used", [Closed, Closed, Full, Full, Full, Empty, Empty, Closed],
            [0x13000, 0x811000, -1, -1, -1, 0x2800000, 0x3000000, 0x3800200]
        },
        { "z64-bit5-byhand", [Closed, Closed, Full, Full, Full, Empty, Empty, Closed], [0x13000, 0x811000] },
        { "z64-used-resetall", [Empty, Empty, Empty, Empty, Empty, Empty, Empty, Empty], [] },
        { "z64-conv2", [Conv, Conv, Closed, Full, Empty, Empty, Empty, Closed], [0, 0x800000, 0x1002000] },
        { "z64-cap6", [Full, Closed, Full, Closed, Full, Empty, Empty, Empty], [-1, 0x810000, -1, 0x1dff000] },
        { "z60-last", [Closed, Empty, Empty, Empty, Empty, Empty, Full, Closed], [0x200, -1, -1, -1, -1, -1, -1, 0x3801000] },
        { "z60-last-finished", [Empty, Empty, Empty, Empty, Empty, Empty, Empty, Full], [-1, -1, -1, -1, -1, -1, -1, 60 * MiB] },
        { "z61-all", [Conv, Closed, Full, Empty, Empty, Empty, Empty, Closed], [0, 0x801000, -1, -1, -1, -1, -1, 0x3801000] },
        { "z27-np2", [Closed, Full, Closed, Empty, Empty, Empty, Empty, Empty, Empty], [0x1000, -1, 0x610000] },
        { "z64-cl4k", [Empty, Closed, Closed, Empty, Empty, Empty, Empty, Empty], [-1, 0x801000, 0x1010000] },
        { "z64-crash", [Empty, Closed, Empty, Empty, Empty, Empty, Empty, Empty], [-1, 0x810000] },
        { "z64-foreign", [Closed, Empty, Empty, Empty, Empty, Empty, Empty, Empty], [0x10000] },
        { "z64-leakfixed", [Empty, Offline, Offline, Offline, Offline, Offline, Offline, Offline], [] },
    };

    [Theory]
    [MemberData(nameof(Samples))]
    public async Task Sample_opens_with_the_conditions_and_pointers_of_its_table(string name, ZoneCondition[] conditions, long[] pointers)
    {
        await using var disk = await Open(name);
        var zones = await Report(disk);
        Assert.Equal(conditions, zones.Select(z => z.Condition));
        for (int i = 0; i < pointers.Length; i++)
        {
            Assert.True(pointers[i] < 0 || pointers[i] == zones[i].WritePointer, $"zone {i}: 0x{zones[i].WritePointer:x}");
        }

        Assert.All(zones.Where(z => z.Condition == Full), z => Assert.Equal(z.Start + z.Length, z.WritePointer));
        Assert.Equal(ZoneLayout.A, disk.Info.Zoned!.Layout);
        Assert.False(disk.Info.Zoned.TableInForeignOrder);
        Assert.Equal(name != "z64-bit5-byhand", disk.Warnings.Any(w => w.Contains("feature bit", StringComparison.Ordinal)));
        Assert.Equal(conditions.Contains(Offline), disk.Warnings.Any(w => w.Contains("OFFLINE", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Pointers_that_wrapped_at_4_GiB_make_their_zones_offline_and_the_others_work()
    {
        await using var disk = await Open("z8g-wrap");
        var zones = await Report(disk);
        Assert.Equal(32, zones.Length);
        Assert.All(zones[..16], z => Assert.Equal(Empty, z.Condition));
        Assert.Equal((Closed, 0x100001000), (zones[16].Condition, zones[16].WritePointer));
        Assert.All(zones[17..], z => Assert.Equal(Offline, z.Condition));
        await disk.WriteAsync(zones[16].WritePointer, new byte[4096]);
        var refused = await Assert.ThrowsAsync<ZoneException>(async () => await disk.WriteAsync(zones[17].Start, new byte[4096]));
        Assert.Equal((ZoneError.Offline, 17), (refused.Reason, refused.Zone));
    }

    [Fact]
    public async Task Zone_capacity_is_enforced_on_images_that_the_proposal_filled_beyond_it()
    {
        // Zone 4 took 7 MiB of data in a zone of 6 MiB capacity: FULL, and what lies beyond the capacity reads as zeroes.
        await using var disk = await Open("z64-cap6");
        var read = new byte[1024];
        await disk.ReadAsync((38 * MiB) - 512, read);
        Assert.Equal([.. Enumerable.Repeat((byte)4, 512), .. new byte[512]], read);
    }

    [Fact]
    public async Task Data_above_a_write_pointer_reads_as_zeroes()
    {
        await using var disk = await Open("z64-foreign");
        var read = new byte[65536];
        await disk.ReadAsync(32 * MiB, read);
        Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public async Task Version_2_image_with_zones_is_rejected()
        => await Assert.ThrowsAsync<BlockException>(async () => await Open("z64-v2"));

    [Fact]
    public async Task Image_with_the_zoned_bit_and_no_zones_opens_as_plain_with_a_warning()
    {
        await using var disk = await Open("nz64-bit5");
        Assert.Null(disk.Zones);
        Assert.Contains(disk.Warnings, w => w.Contains("feature bit", StringComparison.Ordinal));
    }

    private static async Task<IQcow2Device> Open(string name)
        => await Qcow2Image.OpenAsync(await SampleTests.LoadAsync(name), new Qcow2OpenOptions());

    private static async Task<ZoneDescriptor[]> Report(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[64];
        return zones[..await disk.Zones!.ReportAsync(0, zones)];
    }
}
