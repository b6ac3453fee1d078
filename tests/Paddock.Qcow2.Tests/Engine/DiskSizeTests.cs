using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>A change of the size together with a table that the header names.</summary>
public class DiskSizeTests
{
    private const int Cluster = EngineKit.Cluster;
    private const long Old = EngineKit.L1Entries * 64 * Cluster, Next = Old / 2;

    [Fact]
    public async Task Table_that_fits_keeps_its_place()
    {
        var (_, parts, table) = await ComposeAsync(nextBytes: 200, mustMove: false);
        await parts.Resize.RunAsync(Next, Preallocation.Off, table, CancellationToken.None);
        Assert.Equal(table.Offset, table.SwitchedTo);
        Assert.Equal(Next, parts.Header.VirtualSize);
    }

    [Fact]
    public async Task Longer_table_is_moved_and_its_old_clusters_are_freed()
    {
        var (kit, parts, table) = await ComposeAsync(nextBytes: 1000, mustMove: false);
        await parts.Resize.RunAsync(Old, Preallocation.Off, table, CancellationToken.None);
        Assert.NotNull(table.SwitchedTo);
        Assert.NotEqual(table.Offset, table.SwitchedTo);
        Assert.Equal(0UL, await parts.Counts.GetAsync(new HostCluster(10)));
        var stored = new byte[1000];
        await kit.Storage.ReadAsync(table.SwitchedTo!.Value.Value, stored);
        Assert.Equal(table.Next.ToArray(), stored);
        Assert.Equal([(byte)(table.SwitchedTo.Value.Value / Cluster)], parts.Header.Find(HeaderExtension.Paddock)!.Data);
    }

    [Fact]
    public async Task Size_and_table_are_named_by_one_write()
    {
        var (kit, parts, table) = await ComposeAsync(nextBytes: 100, mustMove: true);
        await parts.Session.StartAsync();
        kit.Storage.Restart();
        await parts.Resize.RunAsync(Next, Preallocation.Off, table, CancellationToken.None);
        Assert.Single(kit.Storage.Log, static line => line.StartsWith("write 0+", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Failure_before_the_header_is_written_leaves_size_and_table_and_frees_the_new_place()
    {
        var (kit, parts, table) = await ComposeAsync(nextBytes: 100, mustMove: true);
        await parts.Session.StartAsync();
        kit.Storage.FailNextFlush = true;
        await Assert.ThrowsAsync<BlockException>(
            async () => await parts.Resize.RunAsync(Next, Preallocation.Off, table, CancellationToken.None));
        Assert.Null(table.SwitchedTo);
        Assert.Equal(Old, parts.Header.VirtualSize);
        Assert.Equal(1UL, await parts.Counts.GetAsync(new HostCluster(11)));
        await parts.Flush.RunAsync();
        Assert.Equal(0UL, await parts.Counts.GetAsync(new HostCluster(11)));
        Assert.Equal(1UL, await parts.Counts.GetAsync(new HostCluster(10)));
    }

    [Fact]
    public async Task Failed_write_of_the_header_leaves_both_places_allocated()
    {
        var (kit, parts, table) = await ComposeAsync(nextBytes: 100, mustMove: true);
        await parts.Session.StartAsync();
        kit.Storage.FailWriteAt = 0;
        await Assert.ThrowsAsync<BlockException>(
            async () => await parts.Resize.RunAsync(Next, Preallocation.Off, table, CancellationToken.None));
        await parts.Flush.RunAsync();
        Assert.Null(table.SwitchedTo);
        Assert.Equal(1UL, await parts.Counts.GetAsync(new HostCluster(10)));
        Assert.Equal(1UL, await parts.Counts.GetAsync(new HostCluster(11)));
    }

    [Theory]
    [InlineData(513, BlockError.InvalidArgument)]
    [InlineData(1L << 50, BlockError.TooLarge)]
    public async Task Impossible_size_is_rejected_before_the_table_is_written(long length, BlockError error)
    {
        var (kit, parts, table) = await ComposeAsync(nextBytes: 100, mustMove: true);
        kit.Storage.Restart();
        var e = await Assert.ThrowsAsync<BlockException>(
            async () => await parts.Resize.RunAsync(length, Preallocation.Off, table, CancellationToken.None));
        Assert.Equal(error, e.Error);
        Assert.Empty(kit.Storage.Log);
    }

    // the table is in cluster 10, and all clusters before it are in use
    private static async Task<(EngineKit Kit, ImageParts Parts, Table Table)> ComposeAsync(int nextBytes, bool mustMove)
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Allocator.AllocateAsync(7);
        await kit.Order.RunAsync();
        await kit.Header.PutAsync(kit.Fields);
        await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, [10]));
        var loaded = new LoadedHeader(kit.Fields, kit.Header.Extensions, null);
        var parts = new ImageParts(kit.Storage, new Qcow2OpenOptions(), loaded, new ulong[EngineKit.L1Entries], [], null);
        return (kit, parts, new Table(nextBytes, mustMove));
    }

    private sealed class Table(int nextBytes, bool mustMove) : IMovedTable
    {
        private readonly byte[] _next = [.. Enumerable.Range(0, nextBytes).Select(static i => (byte)i)];

        public HostOffset? SwitchedTo { get; private set; }

        public HostOffset Offset => new(10 * Cluster);

        public long Length => Cluster;

        public ReadOnlyMemory<byte> Next => _next;

        public bool MustMove => mustMove;

        public HeaderExtension ExtensionAt(HostOffset place) => new(HeaderExtension.Paddock, [(byte)(place.Value / Cluster)]);

        public void Switched(HostOffset place) => SwitchedTo = place;
    }
}
