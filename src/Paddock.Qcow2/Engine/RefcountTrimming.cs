using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Removes what a smaller disk no longer needs: refcount blocks that count nothing, the distance of the refcount table, and the
/// file's end. Under the image's metadata mutex.
/// </summary>
internal sealed class RefcountTrimming(
    IStorage storage, ClusterGeometry geometry, MetadataReservation reservation, Refcounts counts, RefcountTableGrowth growth,
    Allocator allocator, HolePuncher holes)
{
    /// <summary>
    /// Removes empty refcount blocks and cuts the storage after the last cluster in use. All pending frees must have been applied.
    /// </summary>
    public async ValueTask TrimAsync()
    {
        await counts.WriteAsync();
        await RemoveEmptyBlocksAsync();
        if (await MoveTableDownAsync())
        {
            await RemoveEmptyBlocksAsync();
        }

        await storage.FlushAsync();
        var end = await EndOfUseAsync();
        long length = geometry.OffsetOf(end).Value;
        if (length >= storage.Length)
        {
            return;
        }

        await storage.SetLengthAsync(length);
        await storage.FlushAsync();
        holes.RemoveFrom(end);
        reservation.Forget();
        counts.FollowLength();
    }

    /// <summary>A table that grew lies after all that the shorter one counted, and would keep the file long.</summary>
    /// <returns>True when it lies further down now.</returns>
    private async ValueTask<bool> MoveTableDownAsync()
    {
        var old = geometry.ClustersOf(counts.TableOffset, (long)counts.TableEntries * 8);
        if (old.Count >= 1L << geometry.RefcountBlockBits)
        {
            return false;
        }

        var place = (await allocator.AllocateAsync(old.Count)).First;
        if (place >= old.First)
        {
            await allocator.FreeNowAsync(new(place, old.Count));
            return false;
        }

        await counts.WriteAsync();
        var table = counts.CopyTable(counts.TableEntries);
        var offset = geometry.OffsetOf(place);
        await storage.WriteAsync(offset.Value, RefcountTableGrowth.Bytes(table));
        await storage.FlushAsync();
        await growth.SwitchAsync(offset, old.Count);
        counts.MoveTable(offset, table);
        await storage.FlushAsync();
        await allocator.FreeNowAsync(old);
        await counts.WriteAsync();
        return true;
    }

    private async ValueTask RemoveEmptyBlocksAsync()
    {
        List<(int Index, HostCluster Block)> empty = [];
        for (int i = 1; i < counts.TableEntries; i++)
        {
            var block = counts.BlockOf(counts.FirstOf(i));
            if (!block.IsNone && await counts.LastInUseAsync(i, except: geometry.ClusterOf(block)) is null)
            {
                empty.Add((i, geometry.ClusterOf(block)));
            }
        }

        foreach (var (index, _) in empty)
        {
            await counts.RemoveBlockAsync(index);
        }

        if (empty.Count == 0)
        {
            return;
        }

        // a block is free only when the table, durably, does not name it any more
        await counts.SettleRemovalsAsync();
        foreach (var (index, block) in empty)
        {
            if (block.Index >> geometry.RefcountBlockBits != index && !counts.BlockOf(block).IsNone)
            {
                await allocator.FreeNowAsync(new(block, 1));
            }
        }

        await counts.WriteAsync();
    }

    private async ValueTask<HostCluster> EndOfUseAsync()
    {
        for (int i = counts.TableEntries - 1; i >= 0; i--)
        {
            if (await counts.LastInUseAsync(i, except: null) is { } last)
            {
                return last + 1;
            }
        }

        return new(1);
    }
}
