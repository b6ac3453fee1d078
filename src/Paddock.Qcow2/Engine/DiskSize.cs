using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The size in the header, and the table that changes with it: the table is written first, where nothing refers to it yet; then
/// size and table are named in one sector, so that a crash leaves both or neither.
/// </summary>
internal sealed class DiskSize(
    IStorage storage, ImageHeader header, EngineLocks locks, FlushOrder order, Allocator allocator, MetadataGuard guard)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Refuses a size for which no L1 table can be long enough.</summary>
    public void Check(long length)
    {
        if (_geometry.L1EntriesFor(length) * 8 > Qcow2Limits.MaxL1Bytes)
        {
            throw new BlockException(BlockError.TooLarge, "The image size is too large (try using a larger cluster size)");
        }
    }

    /// <summary>Writes the table to a place where it fits: the present one, or new clusters.</summary>
    public async ValueTask<TablePlace> PlaceAsync(IMovedTable table)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            var old = _geometry.ClustersOf(table.Offset, table.Length);
            long count = _geometry.ClustersFor(table.Next.Length);
            if (count <= old.Count && !table.MustMove)
            {
                await storage.WriteAsync(table.Offset.Value, table.Next);
                return new TablePlace(table.Offset, new(old.First + count, old.Count - count), default);
            }

            var first = (await allocator.AllocateAsync(count)).First;
            var offset = _geometry.OffsetOf(first);
            try
            {
                await guard.CheckAsync(offset, table.Next.Length);
                await storage.WriteAsync(offset.Value, table.Next);
            }
            catch
            {
                allocator.FreeLater(new(first, count));
                throw;
            }

            return new TablePlace(offset, old, new(first, count));
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Flushes the image, then makes the header have a size, and name the table where one changes with it.</summary>
    public async ValueTask SetAsync(long length, TableMove? move)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();
            var fields = header.Fields with { VirtualSize = (ulong)length };
            if (move is null)
            {
                await header.PutAsync(fields);
                return;
            }

            // should this write fail, the header may name either place until the old one is written again: no place is free
            move.HeaderReached = true;
            await header.PutAsync(fields, move.Table.ExtensionAt(move.Place.Offset));
            if (move.Place.Replaced.Count > 0)
            {
                allocator.FreeLater(move.Place.Replaced);
            }

            move.Table.Switched(move.Place.Offset);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Frees the clusters of a table that the header never got to name.</summary>
    public async ValueTask AbandonAsync(TableMove move)
    {
        await locks.Metadata.AcquireAsync();
        if (move.Place.Fresh.Count > 0)
        {
            allocator.FreeLater(move.Place.Fresh);
        }

        locks.Metadata.Release();
    }
}

/// <summary>Where the next table is.</summary>
/// <param name="Offset">In the image's file.</param>
/// <param name="Replaced">Clusters that nothing needs once the header names it.</param>
/// <param name="Fresh">Clusters that nothing needs should the header never name it.</param>
internal readonly record struct TablePlace(HostOffset Offset, HostClusters Replaced, HostClusters Fresh);

/// <summary>A table that was written and is to be named together with a size.</summary>
internal sealed class TableMove(IMovedTable table, TablePlace place)
{
    public IMovedTable Table => table;

    public TablePlace Place => place;

    /// <summary>True from the header's write on.</summary>
    public bool HeaderReached { get; set; }
}
