using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// Makes the disk what it was at a snapshot, which stays. One write of the header switches the L1 table and the size, so that a crash
/// leaves the old disk or that of the snapshot. All requests wait meanwhile.
/// </summary>
internal sealed class SnapshotRestore(
    IStorage storage, ImageHeader header, EngineLocks locks, WriteSession session, FlushOrder order, L1Table l1, ClusterMap map,
    TableTree tree, Allocator allocator, MetadataGuard guard, RepairMark mark, SparseClusters sparse,
    BitmapStore bitmaps, UnreadableRanges unreadable)
{
    private static readonly GuestClusters All = new(default, new(long.MaxValue));

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Goes back to a snapshot.</summary>
    /// <exception cref="BlockException">
    /// Its tables are invalid, a count is at its limit, or the size cannot change: nothing has changed. Or writing failed.
    /// </exception>
    public async ValueTask RunAsync(SnapshotEntry entry, ISnapshotZones? zones)
    {
        long size = entry.DiskSize ?? header.VirtualSize;
        CheckSize(size);
        var entries = await SnapshotL1.ReadAsync(storage, _geometry, entry);
        Array.Resize(ref entries, (int)Math.Max(entries.Length, _geometry.L1EntriesFor(size)));
        var zoneSwitch = zones is null ? null : await zones.ReadAsync(entry, size);
        await session.StartAsync();
        await (zones?.HoldAsync() ?? default);
        await locks.AcquireAsync(All, exclusive: true);
        await locks.Metadata.AcquireAsync();
        try
        {
            await RunAsync(entries, size, zoneSwitch);
        }
        finally
        {
            locks.Metadata.Release();
            locks.Release(All, exclusive: true);
            zones?.Release();
        }
    }

    private void CheckSize(long size)
    {
        if (size != header.VirtualSize && !header.HasVersion3)
        {
            throw new BlockException(BlockError.NotSupported, "Can't resize a v2 image which has snapshots");
        }

        if (size < 0 || size % 512 != 0 || _geometry.L1EntriesFor(size) * 8 > Qcow2Limits.MaxL1Bytes)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"the snapshot's disk has {size} bytes, which no image of this kind can have");
        }
    }

    private async ValueTask RunAsync(ulong[] entries, long size, ISnapshotZoneSwitch? zones)
    {
        if (size != header.VirtualSize)
        {
            await bitmaps.PrepareResizeAsync(size);
        }

        await order.RunAsync();
        await mark.SetAsync();
        var old = l1.Copy();
        var oldClusters = _geometry.ClustersOf(l1.Offset, old.Length * 8L);
        int raised = 0;
        HostClusters place = default;
        try
        {
            foreach (var table in SnapshotL1.TablesOf(entries))
            {
                await RaiseAsync(table);
                raised++;
            }

            place = await PlaceAsync(entries);
            await (zones?.PlaceAsync(_geometry.OffsetOf(place.First)) ?? default);
            await order.RunAsync();
            var next = header.Fields with
            {
                L1Offset = (ulong)_geometry.OffsetOf(place.First).Value, L1Entries = (uint)entries.Length, VirtualSize = (ulong)size,

                // the snapshot has no unreadable ranges
                Autoclear = header.Fields.Autoclear & ~AutoclearFeatures.UnreadableRanges,
            };
            await (zones is null ? header.PutAsync(next) : header.PutAsync(next, zones.Extension));
        }
        catch
        {
            zones?.Abandon();
            await UndoAsync(SnapshotL1.TablesOf(entries).Take(raised), place);
            throw;
        }

        Switch(old, entries);
        zones?.Switched();
        try
        {
            await (zones?.RestoreAttributesAsync() ?? default);
            await ReleaseAsync(old, oldClusters);
        }
        catch
        {
            mark.Keep();
            throw;
        }

        await EndAsync();
    }

    private async ValueTask RaiseAsync(HostOffset table)
    {
        if (!await tree.TryRaiseAsync(table))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"the {1 << _geometry.RefcountOrder}-bit reference counts cannot count another use of the snapshot");
        }

        // before the disk has the table: flags of a snapshot's tables may be stale, and a write would go where the snapshot's data are
        await tree.ClearOwnAsync(table);
    }

    private async ValueTask<HostClusters> PlaceAsync(ulong[] entries)
    {
        long count = Math.Max(1, _geometry.ClustersFor(entries.Length * 8L));
        var place = new HostClusters((await allocator.AllocateAsync(count, "L1 table")).First, count);
        var offset = _geometry.OffsetOf(place.First);
        try
        {
            await guard.CheckAsync(offset, entries.Length * 8L);
            await storage.WriteAsync(offset.Value, L1Table.Bytes(entries));
            return place;
        }
        catch
        {
            allocator.FreeLater(place);
            throw;
        }
    }

    private async ValueTask UndoAsync(IEnumerable<HostOffset> raised, HostClusters place)
    {
        try
        {
            // if the header could not be written: not before it is known to name the old table
            await order.RunAsync();
            foreach (var table in raised)
            {
                await tree.LowerAsync(table);
            }

            if (place.Count > 0)
            {
                allocator.FreeLater(place);
            }

            await EndAsync();
        }
        catch (BlockException)
        {
            // the first failure is the one to report
            mark.Keep();
        }
    }

    /// <summary>Memory follows the header.</summary>
    private void Switch(ulong[] old, ulong[] entries)
    {
        l1.Replace(entries);

        // a snapshot has none
        unreadable.Trim(0);
        sparse.Reset();
        map.ForgetData();
        foreach (var table in SnapshotL1.TablesOf(old))
        {
            guard.Map.Set(_geometry.ClusterOf(table), MetadataKind.None);
        }

        foreach (var table in SnapshotL1.TablesOf(entries))
        {
            guard.Map.Set(_geometry.ClusterOf(table), MetadataKind.ActiveL2);
        }

        guard.RegisterFixed();

        // any byte of the disk may be another
        bitmaps.Resize(header.VirtualSize);
        bitmaps.Recorder.Record(default, header.VirtualSize);
    }

    private async ValueTask ReleaseAsync(ulong[] old, HostClusters oldClusters)
    {
        foreach (var table in SnapshotL1.TablesOf(old))
        {
            await tree.LowerAsync(table);
        }

        if (oldClusters.Count > 0)
        {
            await allocator.FreeNowAsync(oldClusters);
        }
    }

    private async ValueTask EndAsync()
    {
        await order.RunAsync();
        await mark.ClearAsync();
    }
}
