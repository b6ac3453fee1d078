using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// Deletes a snapshot: first from the table, durably, so that a crash after that only leaks; then what it alone referred to, a table at
/// a time, while requests go on.
/// </summary>
internal sealed class SnapshotDeletion(
    IStorage storage, ImageHeader header, EngineLocks locks, WriteSession session, ImageFlush flush, FlushOrder order, L1Table l1,
    TableTree tree, Allocator allocator, RepairMark mark, SnapshotDirectory directory)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Deletes an entry of the table.</summary>
    /// <exception cref="BlockException">Its tables are invalid: nothing has changed. Or writing failed.</exception>
    public async ValueTask RunAsync(SnapshotEntry entry)
    {
        var entries = await SnapshotL1.ReadAsync(storage, _geometry, entry);
        await session.StartAsync();

        // counts that are still to go down would keep clusters from becoming the disk's own
        await flush.RunAsync();
        await locks.WithMetadataAsync(() => RemoveAsync(entry));
        try
        {
            foreach (var table in SnapshotL1.TablesOf(entries))
            {
                await locks.WithMetadataAsync(() => tree.LowerAsync(table));
            }

            await locks.WithMetadataAsync(() => FreeL1Async(entry));
            await locks.WithMetadataAsync(() => FreeZonesAsync(entry));
            for (int i = 0; i < l1.Count; i++)
            {
                await locks.WithMetadataAsync(() => tree.RefreshAsync(i));
            }
        }
        catch (BlockException e)
        {
            mark.Keep();
            throw new SnapshotFreeException(e);
        }
        catch
        {
            mark.Keep();
            throw;
        }

        await locks.WithMetadataAsync(EndAsync);
    }

    private async ValueTask RemoveAsync(SnapshotEntry entry)
    {
        await mark.SetAsync();
        await directory.PutAsync([.. directory.Entries.Where(e => !ReferenceEquals(e, entry))]);
    }

    private ValueTask FreeL1Async(SnapshotEntry entry)
    {
        directory.Set(entry.Header.L1TableOffset, entry.Header.L1Entries * 8L, MetadataKind.None);
        var clusters = _geometry.ClustersOf(entry.Header.L1TableOffset, entry.Header.L1Entries * 8L);
        return clusters.Count > 0 ? allocator.FreeNowAsync(clusters) : default;
    }

    private async ValueTask FreeZonesAsync(SnapshotEntry entry)
    {
        if (SnapshotZones.Find(entry.Extra.Span, _geometry.ClusterSize) is not { } zones || zones.Offset.Value > storage.Length)
        {
            return;
        }

        // what is no zone record any more may belong to another structure: check frees it, if it leaks
        var record = new byte[zones.Bytes];
        await storage.ReadAsync(zones.Offset.Value, record);
        if (Crc32C.Of(record) == zones.Checksum)
        {
            directory.Set(zones.Offset, zones.Bytes, MetadataKind.None);
            await allocator.FreeNowAsync(_geometry.ClustersOf(zones.Offset, zones.Bytes));
        }
    }

    private async ValueTask EndAsync()
    {
        await order.RunAsync();
        await mark.ClearAsync();
    }
}
