using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Shrinks the disk: the new size first, durably, so that a crash leaves the old disk or the new one, then the clusters, then the
/// file's end.
/// </summary>
internal sealed class DiskShrink(
    IStorage storage, ImageHeader header, DataLayer data, EngineLocks locks, DiskSize size, DiskTail tail, ClusterMap map,
    Allocator allocator, ClusterClearing clearing, RefcountTrimming trimming, ImageFlush flush)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Shrinks, together with a table where one changes with the size.</summary>
    public async ValueTask RunAsync(long length, TableMove? move)
    {
        var old = new GuestOffset(header.VirtualSize);
        var end = new GuestOffset(length);
        await size.SetAsync(length, move);
        await flush.RunAsync();
        await clearing.ClearAsync(_geometry.AlignUp(end), _geometry.AlignUp(old), Deallocation.Remove);

        // programs that do not clear what they grow over would show what was cut off
        await tail.ClearAsync(end, hideBacking: false, allocate: false, CancellationToken.None);
        await RemoveTablesAsync(_geometry.L1EntriesFor(length));
        await TrimAsync();
        if (data.IsExternal)
        {
            await data.Storage.SetLengthAsync(length);
        }
    }

    /// <summary>Removes L2 tables from the L1 table, and frees them once the L1 table is durable.</summary>
    private async ValueTask RemoveTablesAsync(long fromL1Index)
    {
        await storage.OnEventAsync("l1_shrink_write_table");
        var tables = await UnlinkTablesAsync(fromL1Index);
        try
        {
            await flush.RunAsync();
        }
        finally
        {
            // after a failure too: the next flush writes the L1 table first
            await FreeLaterAsync(tables);
        }

        await storage.OnEventAsync("l1_shrink_free_l2_clusters");
        await flush.RunAsync();
    }

    private async ValueTask<List<HostCluster>> UnlinkTablesAsync(long fromL1Index)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            return map.RemoveTables(fromL1Index);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask FreeLaterAsync(List<HostCluster> tables)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            tables.ForEach(table => allocator.FreeLater(new(table, 1)));
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask TrimAsync()
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await trimming.TrimAsync();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
