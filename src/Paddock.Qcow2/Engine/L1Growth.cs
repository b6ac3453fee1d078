using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Moves the L1 table to a larger place: the new one is durable before the header names it.</summary>
internal sealed class L1Growth(
    IStorage storage, ImageHeader header, EngineLocks locks, L1Table l1, Allocator allocator, MetadataGuard guard, FlushOrder order)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Makes the table at least so long.</summary>
    public async ValueTask EnsureAsync(long entries)
    {
        if (entries <= l1.Count)
        {
            return;
        }

        await locks.Metadata.AcquireAsync();
        try
        {
            await storage.OnEventAsync("l1_grow_alloc_table");
            var place = (await allocator.AllocateAsync(Math.Max(1, _geometry.ClustersFor(entries * 8)))).First;
            var offset = _geometry.OffsetOf(place);
            var bytes = l1.Extended(entries);
            await order.RunAsync();
            await storage.OnEventAsync("l1_grow_write_table");
            await storage.WriteAsync(offset.Value, bytes);
            await storage.FlushAsync();
            var old = _geometry.ClustersOf(l1.Offset, l1.Count * 8L);
            await header.PutAsync(
                header.Fields with { L1Offset = (ulong)offset.Value, L1Entries = (uint)entries }, "l1_grow_activate_table");
            l1.Extend(entries);
            guard.RegisterFixed();
            if (old.Count > 0)
            {
                allocator.FreeLater(old);
            }
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
