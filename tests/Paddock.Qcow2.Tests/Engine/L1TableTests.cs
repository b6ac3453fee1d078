using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>The L1 table alone.</summary>
public class L1TableTests
{
    private const int PerTable = EngineKit.Cluster * (EngineKit.Cluster / 8);

    [Fact]
    public async Task Only_the_sectors_of_changed_entries_are_written()
    {
        var kit = await EngineKit.CreateAsync();
        var l1 = new L1Table(kit.Storage, kit.Header, new ulong[200]);
        l1.Set(At(70), new HostOffset(1 << 20));
        l1.Set(At(71), new HostOffset(2 << 20));
        l1.Set(At(199), new HostOffset(3 << 20));
        Assert.True(l1.IsDue);
        kit.Storage.Restart();
        await l1.WriteAsync();
        int offset = 3 * EngineKit.Cluster;
        Assert.Equal(
            ["l1_update", $"write {offset + 512}+512", "l1_update", $"write {offset + 1536}+64"], kit.Storage.Log);
        Assert.False(l1.IsDue);
    }

    [Fact]
    public async Task Entries_that_failed_to_be_written_stay_due()
    {
        var kit = await EngineKit.CreateAsync();
        kit.L1.Set(At(1), new HostOffset(1 << 20));
        kit.Storage.FailWriteAt = 3 * EngineKit.Cluster;
        await Assert.ThrowsAsync<BlockException>(async () => await kit.L1.WriteAsync());
        Assert.True(kit.L1.IsDue);
        await kit.L1.WriteAsync();
        var stored = await L1Table.ReadAsync(kit.Storage, kit.Fields, CancellationToken.None);
        Assert.Equal((1UL << 20) | L2Entry.CopiedFlag, stored[1]);
    }

    [Fact]
    public async Task Offset_after_the_last_entry_has_no_table()
    {
        var kit = await EngineKit.CreateAsync();
        Assert.True(kit.L1.Find(At(EngineKit.L1Entries)).IsNone);
    }

    [Fact]
    public async Task Growth_moves_the_table_and_frees_the_old_place()
    {
        var kit = await EngineKit.CreateAsync();
        kit.L1.Set(At(1), new HostOffset(1 << 20));
        var growth = new L1Growth(kit.Storage, kit.Header, new EngineLocks(), kit.L1, kit.Allocator, kit.Guard, kit.Order);
        await growth.EnsureAsync(300);
        Assert.Equal(300, kit.L1.Count);
        Assert.Equal(1 << 20, kit.L1.Find(At(1)).Value);
        Assert.Equal(300u, kit.Header.Fields.L1Entries);
        var stored = await L1Table.ReadAsync(kit.Storage, kit.Header.Fields, CancellationToken.None);
        Assert.Equal((1UL << 20) | L2Entry.CopiedFlag, stored[1]);
        await kit.Order.RunAsync();
        Assert.Equal(0UL, await kit.Counts.GetAsync(new HostCluster(3)));
    }

    private static GuestOffset At(long index) => new(index * PerTable);
}
