using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Changes the size of the disk, and of the table that changes with it, if there is one.</summary>
internal sealed class ImageResize(
    ImageHeader header, WriteSession session, SparseClusters sparse, DiskSize size, DiskGrowth growth, DiskShrink shrink, ImageFlush flush,
    BitmapStore bitmaps, UnreadableRanges unreadable, EngineLocks locks)
{
    /// <summary>Resizes the disk alone.</summary>
    public async ValueTask RunAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        await CheckAndStartAsync(length);
        await ChangeAsync(length, preallocation, null, cancellationToken);
    }

    /// <summary>Resizes the disk together with a table. After a crash or a failure both are old, or both are new.</summary>
    public async ValueTask RunAsync(long length, Preallocation preallocation, IMovedTable table, CancellationToken cancellationToken)
    {
        size.Check(length);
        await CheckAndStartAsync(length);
        var move = new TableMove(table, await size.PlaceAsync(table));
        try
        {
            await ChangeAsync(length, preallocation, move, cancellationToken);
        }
        catch when (!move.HeaderReached)
        {
            // nothing names the new place, nor will
            await size.AbandonAsync(move);
            throw;
        }

        await flush.RunAsync();
    }

    private async ValueTask CheckAndStartAsync(long length)
    {
        session.EnsureWritable();
        if (length % 512 != 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "The new size must be a multiple of 512");
        }

        if (header.Fields.SnapshotCount > 0 && !header.HasVersion3)
        {
            throw new BlockException(BlockError.NotSupported, "Can't resize a v2 image which has snapshots");
        }

        await session.StartAsync();
        await locks.Metadata.AcquireAsync();
        try
        {
            await bitmaps.PrepareResizeAsync(length);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask ChangeAsync(long length, Preallocation preallocation, TableMove? move, CancellationToken cancellationToken)
    {
        sparse.Reset();
        try
        {
            if (length < header.VirtualSize)
            {
                await shrink.RunAsync(length, move);
            }
            else
            {
                await growth.RunAsync(length, preallocation, move, cancellationToken);
            }
        }
        finally
        {
            // the size in the header counts, even if what follows it failed
            unreadable.Trim(header.VirtualSize);
        }

        bitmaps.Resize(header.VirtualSize);
    }
}
