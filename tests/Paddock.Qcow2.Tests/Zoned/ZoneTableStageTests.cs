using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Tests.Engine;
using Paddock.Qcow2.Zoned;
using Paddock.Zones;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>The zone table's part of a flush, without an image around it.</summary>
public class ZoneTableStageTests
{
    private const int ZoneSize = 1 << 20, Zones = 256, TableAt = 64 << 10;

    [Fact]
    public async Task Pointer_is_written_as_it_was_when_the_flush_began()
    {
        var (storage, state, stage) = await ComposeAsync();
        Advance(state, zone: 3, bytes: 4096);
        stage.Begin();
        Advance(state, zone: 3, bytes: 4096);
        await stage.WriteAsync();
        Assert.Equal((3L * ZoneSize) + 4096, await StoredPointerAsync(storage, state, 3));

        stage.Begin();
        Assert.True(stage.IsDue);
        await stage.WriteAsync();
        Assert.Equal((3L * ZoneSize) + 8192, await StoredPointerAsync(storage, state, 3));
    }

    [Fact]
    public async Task Data_that_only_a_buffer_has_are_not_below_the_stored_pointer()
    {
        var (storage, state, stage) = await ComposeAsync();
        Advance(state, zone: 0, bytes: 4096);
        var buffer = state.Buffers.Take(0, 4096)!;
        buffer.Length = 512;
        Advance(state, zone: 0, bytes: 512);
        stage.Begin();
        await stage.WriteAsync();
        Assert.Equal(4096, await StoredPointerAsync(storage, state, 0));
    }

    [Fact]
    public async Task Flush_without_moved_pointers_writes_nothing()
    {
        var (_, _, stage) = await ComposeAsync();
        stage.Begin();
        Assert.False(stage.IsDue);
    }

    [Fact]
    public async Task Pointers_of_a_flush_that_failed_before_their_write_are_in_the_next()
    {
        var (storage, state, stage) = await ComposeAsync();
        Advance(state, zone: 1, bytes: 4096);
        stage.Begin();
        Assert.True(stage.HasCaptured);

        // an earlier stage failed
        stage.Begin();
        Assert.True(stage.IsDue);
        await stage.WriteAsync();
        Assert.Equal(ZoneSize + 4096L, await StoredPointerAsync(storage, state, 1));
    }

    [Fact]
    public async Task Pointers_whose_write_failed_are_in_the_next_flush()
    {
        var (storage, state, stage) = await ComposeAsync();
        Advance(state, zone: 1, bytes: 4096);
        stage.Begin();
        storage.FailWriteAt = TableAt;
        await Assert.ThrowsAsync<BlockException>(async () => await stage.WriteAsync());
        Assert.False(stage.HasCaptured);
        stage.Begin();
        await stage.WriteAsync();
        Assert.Equal(ZoneSize + 4096L, await StoredPointerAsync(storage, state, 1));
    }

    [Fact]
    public async Task Adjacent_sectors_go_out_in_one_write()
    {
        var (storage, state, stage) = await ComposeAsync();
        foreach (int zone in new[] { 200, 0, 64, 129 })
        {
            Advance(state, zone, 4096);
        }

        stage.Begin();
        storage.Restart();
        await stage.WriteAsync();
        Assert.Equal(["zone_table_update", $"write {TableAt}+2048"], storage.Log);
    }

    [Fact]
    public async Task Stage_in_a_flush_comes_after_the_barrier_and_before_one_of_its_own()
    {
        var (storage, state, stage) = await ComposeAsync();
        var order = new FlushOrder(storage);
        order.Register(FlushPlace.ZoneTable, stage);
        Advance(state, zone: 1, bytes: 4096);
        storage.Restart();
        await order.RunAsync();
        Assert.Equal(["flush_to_os", "flush_to_disk", "flush", "zone_table_update", "flush"], storage.Steps);
    }

    private static void Advance(ZonedState state, int zone, int bytes)
    {
        lock (state.Lock)
        {
            Assert.True(state.Zones.BeginWrite(state.Zones.PointerOf(zone), bytes).IsOk);
            state.Zones.EndWrite(zone, bytes, success: true);
            state.Table.MarkDirty(zone);
        }
    }

    private static async Task<long> StoredPointerAsync(RecordingStorage storage, ZonedState state, int zone)
    {
        var table = new byte[Zones * ZoneTableFormat.EntrySize];
        await storage.ReadAsync(TableAt, table);
        Assert.True(state.Table.Format.TryRead(table, zone, state.Zones, out long pointer));
        return pointer;
    }

    private static async Task<(RecordingStorage Storage, ZonedState State, ZoneTableStage Stage)> ComposeAsync()
    {
        var kit = await EngineKit.CreateAsync();
        var zones = new ZoneSet(new ZonedLimits(ZoneSize, ZoneSize, Zones, 0, 0, 0, 0), (long)Zones * ZoneSize);
        var format = ZoneTableFormat.Of(ZoneLayout.B);
        var stored = new byte[Zones * ZoneTableFormat.EntrySize];
        for (int zone = 0; zone < Zones; zone++)
        {
            format.Write(stored.AsSpan(zone * ZoneTableFormat.EntrySize), zones.StartOf(zone), conventional: false);
        }

        var parameters = new ZonedParameters
        {
            Layout = ZoneLayout.B,
            Model = 1,
            ZoneSize = ZoneSize,
            ZoneCapacity = ZoneSize,
            ZoneCount = Zones,
            ConventionalZones = 0,
            MaxActiveZones = 0,
            MaxOpenZones = 0,
            TableOffset = TableAt,
        };
        var table = new ZonePointerTable(kit.Storage, new HostOffset(TableAt), stored, format);
        var state = new ZonedState(kit.Header, parameters, zones, table);
        return (kit.Storage, state, new ZoneTableStage(state, new RecordMark(kit.Header)));
    }
}
