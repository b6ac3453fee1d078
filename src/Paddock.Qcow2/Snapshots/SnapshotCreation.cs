using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// Takes a snapshot. All requests stop for as long as a flush and a copy of the L1 table take; that is the moment of the snapshot.
/// Then the L2 tables become shared one after the other while requests go on: a table that is changed meanwhile is shared first.
/// </summary>
internal sealed class SnapshotCreation(
    IStorage storage, ImageHeader header, EngineLocks locks, WriteSession session, ImageFlush flush, FlushOrder order, L1Table l1,
    TableTree tree, Allocator allocator, MetadataGuard guard, RepairMark mark, SnapshotDirectory directory,
    ImageTables tables) : ITableSharing
{
    private static readonly GuestClusters All = new(default, new(long.MaxValue));

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>How long requests waited for the latest one.</summary>
    public TimeSpan LastPause { get; private set; }

    /// <summary>Takes a snapshot.</summary>
    /// <param name="draft">Its name and dates.</param>
    /// <param name="zones">The zones of the disk; null without.</param>
    /// <exception cref="BlockException">There are too many, a count is at its limit, or writing failed. There is no snapshot.</exception>
    public async ValueTask<SnapshotEntry> RunAsync(SnapshotEntry draft, ISnapshotZones? zones)
    {
        await session.StartAsync();
        if (directory.Entries.Count >= Qcow2Limits.MaxSnapshots)
        {
            throw new BlockException(BlockError.TooLarge, $"the image has {directory.Entries.Count} snapshots, the most there may be");
        }

        // so that little is left to be written while requests wait
        await flush.RunAsync();
        var place = await locks.WithMetadataAsync(StartAsync);
        SharedTables? shared = null;
        try
        {
            (shared, byte[]? record) = await FreezeAsync(zones);
            for (int i = 0; i < shared.Entries.Length; i++)
            {
                await ShareAsync(shared, i);
            }

            return await locks.WithMetadataAsync(() => FinishAsync(shared, place, draft, record));
        }
        catch (Exception e)
        {
            bool isLimit = e is BlockException { Error: BlockError.InvalidArgument };
            await locks.WithMetadataAsync(() => UndoAsync(shared, place, isLimit));
            throw;
        }
        finally
        {
            await locks.WithMetadataAsync(EndAsync);
        }
    }

    /// <inheritdoc/>
    public async ValueTask ShareAsync(int index)
    {
        bool isRaised = false;
        try
        {
            isRaised = await tree.TryRaiseAsync(l1.TableAt(index));
            if (isRaised)
            {
                await tree.ClearOwnAsync(l1.TableAt(index));
                l1.SetOwn(index, isOwn: false);
            }
        }
        catch (Exception e) when (e is not UncountedClusterException)
        {
            mark.Keep();
            throw;
        }

        _ = isRaised ? true : throw new BlockException(
            BlockError.InvalidArgument,
            $"the {1 << _geometry.RefcountOrder}-bit reference counts cannot count another snapshot (amend -o refcount_bits widens them)");
    }

    /// <summary>Finds a place for the L1 table, and takes its space: a full file system is found before tables are shared.</summary>
    private async ValueTask<HostClusters> StartAsync()
    {
        long count = _geometry.ClustersFor(l1.Count * 8L);
        var place = new HostClusters(count == 0 ? default : (await allocator.AllocateAsync(count, "L1 table")).First, count);
        try
        {
            if (count > 0)
            {
                await guard.CheckAsync(_geometry.OffsetOf(place.First), _geometry.BytesIn(count));
                await storage.WriteAsync(_geometry.OffsetOf(place.First).Value, new byte[_geometry.BytesIn(count)]);
            }

            await mark.SetAsync();
            return place;
        }
        catch
        {
            Free(place);
            throw;
        }
    }

    /// <summary>The moment of the snapshot.</summary>
    private async ValueTask<(SharedTables Shared, byte[]? Record)> FreezeAsync(ISnapshotZones? zones)
    {
        long start = Stopwatch.GetTimestamp();
        await (zones?.HoldAsync() ?? default);
        await locks.AcquireAsync(All, exclusive: true);
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();
            byte[]? record = zones is null ? null : await zones.CaptureAsync();
            return (l1.Pending = new SharedTables(l1, this), record);
        }
        finally
        {
            locks.Metadata.Release();
            locks.Release(All, exclusive: true);
            zones?.Release();
            LastPause = Stopwatch.GetElapsedTime(start);
        }
    }

    private async ValueTask ShareAsync(SharedTables shared, int index)
    {
        if (shared.Contains(index))
        {
            await locks.WithMetadataAsync(() => shared.ShareAsync(index));
        }

        if (shared.Failure is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <summary>Writes the L1 table, then the snapshot table that names it.</summary>
    private async ValueTask<SnapshotEntry> FinishAsync(SharedTables shared, HostClusters place, SnapshotEntry draft, byte[]? record)
    {
        l1.Pending = null;
        var offset = _geometry.OffsetOf(place.First);
        var entry = draft with
        {
            Id = directory.NextId,
            Header = draft.Header with { L1TableOffset = offset, L1Entries = (uint)shared.Entries.Length },
        };

        // as with QEMU, which counts no instructions here
        entry = entry.With(header.VirtualSize, instructionCount: 0);
        if (place.Count > 0)
        {
            await storage.WriteAsync(offset.Value, L1Table.Bytes(shared.Entries));
        }

        if (record is null)
        {
            await directory.PutAsync([.. directory.Entries, entry]);
            return entry;
        }

        var recordAt = await tables.PlaceAsync(record);
        try
        {
            entry = entry.With(new SnapshotZones(recordAt, record.Length, Crc32C.Of(record)));
            await directory.PutAsync([.. directory.Entries, entry]);
            return entry;
        }
        catch
        {
            tables.Free(recordAt, record.Length);
            throw;
        }
    }

    /// <summary>Makes the tables the disk's own again.</summary>
    private async ValueTask UndoAsync(SharedTables? shared, HostClusters place, bool isLimit)
    {
        l1.Pending = null;
        try
        {
            // if the header could not be written: not before it is known to name the old table
            await order.RunAsync();
            foreach (var table in shared?.Shared() ?? [])
            {
                await tree.LowerAsync(table);
            }

            for (int i = 0; i < l1.Count; i++)
            {
                await tree.RefreshAsync(i);
            }

            // where a count is at its limit QEMU leaves the table's clusters counted, and so do its tests expect it: check frees them
            if (!isLimit)
            {
                Free(place);
            }
        }
        catch (BlockException)
        {
            // the failure of the snapshot is the one to report
            mark.Keep();
        }
    }

    private async ValueTask EndAsync()
    {
        await order.RunAsync();
        await mark.ClearAsync();
    }

    private void Free(HostClusters place)
    {
        if (place.Count > 0)
        {
            allocator.FreeLater(place);
        }
    }
}
