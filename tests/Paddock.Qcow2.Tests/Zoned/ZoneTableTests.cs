using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Zoned;
using Paddock.Zones;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>The entries of the zone table in each order and with each flag, sound and not (zoned-qcow2.md 1.3).</summary>
public class ZoneTableTests
{
    private const long Zone = 1 << 20;

    [Theory]
    [InlineData(ZoneLayout.A)]
    [InlineData(ZoneLayout.B)]
    [InlineData(ZoneLayout.C)]
    public void Table_of_either_byte_order_and_flag_is_read_and_the_layouts_own_format_preferred(ZoneLayout layout)
    {
        var zones = Zones(conventional: 2);
        foreach (bool little in new[] { true, false })
        {
            foreach (int bit in new[] { 59, 63 })
            {
                var format = new ZoneTableFormat(little, bit);
                Assert.Equal(format, ZoneTableFormat.Detect(Table(format, zones), layout, zones));
            }
        }

        // Without conventional zones no flag is set: an empty disk of one zone is valid in every order.
        var one = new ZoneSet(new ZonedLimits(Zone, Zone, 1, 0, 0, 0, 0), Zone);
        Assert.Equal(ZoneTableFormat.Of(layout), ZoneTableFormat.Detect(new byte[8], layout, one));
    }

    [Fact]
    public void One_corrupt_entry_does_not_change_the_order_of_the_rest()
    {
        var zones = Zones(conventional: 2);
        var foreign = ZoneTableFormat.Of(ZoneLayout.C);
        var table = Table(foreign, zones);
        BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(5 * 8), 77);
        Assert.Equal(foreign, ZoneTableFormat.Detect(table, ZoneLayout.A, zones));
        Assert.False(foreign.TryRead(table, 5, zones, out _));
        Assert.True(foreign.TryRead(table, 6, zones, out _));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(512, true)]
    [InlineData(Zone, true)]
    [InlineData(100, false)]
    [InlineData(-512, false)]
    [InlineData(Zone + 512, false)]
    [InlineData(1L << 59, false)]
    [InlineData(long.MinValue, false)]
    public void Entry_is_a_sector_inside_its_zone(long inside, bool valid)
    {
        var zones = Zones(conventional: 0);
        foreach (var layout in Enum.GetValues<ZoneLayout>())
        {
            var format = ZoneTableFormat.Of(layout);
            var table = Table(format, zones);
            format.Write(table.AsSpan(3 * 8), (3 * Zone) + inside, false);
            Assert.Equal(valid, format.TryRead(table, 3, zones, out long pointer));
            Assert.True(!valid || pointer == (3 * Zone) + inside);
        }
    }

    [Fact]
    public async Task Disk_of_a_million_zones_opens_and_reports_its_last_zone()
    {
        const int Count = 1_048_576;
        var storage = new KeptStorage(new MemoryStorage());
        var zoned = new ZonedCreateOptions { ZoneSize = 4096 };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Count * 4096L, Zoned = zoned });
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
        {
            Assert.Equal((Count - 1) * 4096L, await disk.Zones!.AppendAsync((Count - 1) * 4096L, new byte[512]));
        }

        await using var again = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        var last = new ZoneDescriptor[2];
        Assert.Equal(1, await again.Zones!.ReportAsync((Count - 1) * 4096L, last));
        Assert.Equal(ZoneCondition.Closed, last[0].Condition);
    }

    [Fact]
    public async Task Table_in_the_other_byte_order_opens_with_a_warning_and_keeps_its_order()
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 8 * Zone,
            Zoned = new ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = 1 },
        });
        long table;
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true }))
        {
            table = disk.Info.Zoned!.TableOffset;
        }

        var foreign = Table(ZoneTableFormat.Of(ZoneLayout.C), Zones(conventional: 1));
        await storage.WriteAsync(table, foreign);
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
        {
            Assert.True(disk.Info.Zoned!.TableInForeignOrder);
            await disk.Zones!.AppendAsync(2 * Zone, new byte[512]);
        }

        var entry = new byte[8];
        await storage.ReadAsync(table + 16, entry);
        Assert.Equal((2 * Zone) + 512, BinaryPrimitives.ReadInt64BigEndian(entry));
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None);
        Assert.Equal(0, report.Corruptions);
    }

    [Fact]
    public async Task Corrupt_entry_is_unchanged_when_its_neighbours_are_written_back()
    {
        var storage = await Qcow2.Tests.Check.SampleTests.LoadAsync("z64-leakfixed");
        var kept = new KeptStorage(storage);
        await using (var disk = await Qcow2Image.OpenAsync(kept, new Qcow2OpenOptions()))
        {
            await disk.Zones!.AppendAsync(0, new byte[512]);
            await disk.FlushAsync();
        }

        var table = new byte[64];
        await kept.ReadAsync(196608, table);
        Assert.Equal(512, BinaryPrimitives.ReadInt64LittleEndian(table));
        Assert.Equal(-1, table.AsSpan(8).IndexOfAnyExcept((byte)0));
    }

    private static ZoneSet Zones(int conventional) => new(new ZonedLimits(Zone, Zone, 8, conventional, 0, 0, 0), 8 * Zone);

    private static byte[] Table(ZoneTableFormat format, ZoneSet zones)
    {
        var table = new byte[zones.Count * ZoneTableFormat.EntrySize];
        for (int zone = 0; zone < zones.Count; zone++)
        {
            format.Write(table.AsSpan(zone * ZoneTableFormat.EntrySize), zones.PointerOf(zone), !zones.Geometry.IsSequential(zone));
        }

        return table;
    }
}
