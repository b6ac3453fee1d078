using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Makes an image hold nothing of its own, so that its backing file shows everywhere.</summary>
internal sealed class ImageEmptying(
    ImageHeader header, EngineLocks locks, WriteSession session, FlushOrder order, ClusterClearing clearing, DataLayer data,
    ImageFlush flush, UnreadableRanges unreadable, FreshLayout layout)
{
    /// <summary>
    /// Frees every cluster of the disk, durably. Where only the disk's own tables have to stay, the file becomes as short as that of a new
    /// image, and the image takes no changes until it is opened again.
    /// </summary>
    public async ValueTask RunAsync()
    {
        session.EnsureWritable();
        await session.StartAsync();
        var end = header.Geometry.AlignUp(new GuestOffset(header.VirtualSize));
        if (!layout.IsPossible)
        {
            await clearing.ClearAsync(default, end, Deallocation.Remove);
            unreadable.Trim(0);
            await flush.RunAsync();

            // the space of an external data file, now that nothing refers to it
            await data.DiscardAsync(default, end.Value);
            return;
        }

        var held = header.Geometry.ClustersOf(new GuestOffset(0), Math.Max(1, end.Value));
        await locks.AcquireAsync(held, exclusive: true);
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();

            // whatever fails from here on: no later request may go by counts that have been overwritten
            session.End();
            await layout.WriteAsync();
        }
        finally
        {
            locks.Metadata.Release();
            locks.Release(held, exclusive: true);
        }
    }
}
