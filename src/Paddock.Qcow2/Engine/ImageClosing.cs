using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Closes an image: everything becomes durable, and nothing of it is left for the next session to do.</summary>
internal static class ImageClosing
{
    /// <summary>Ends what runs by itself, writes everything, and closes the storage and the backing image, whatever fails.</summary>
    public static async ValueTask CloseAsync(ImageParts parts)
    {
        try
        {
            await parts.Upkeep.DisposeAsync();
            if (parts.Session.IsOpen && !parts.Guard.HasFailed)
            {
                await WriteAsync(parts);
            }
        }
        finally
        {
            await parts.Storage.DisposeAsync();
            if (parts.DataFile is not null)
            {
                await parts.DataFile.DisposeAsync();
            }

            if (parts.Backing is not null)
            {
                await parts.Backing.DisposeAsync();
            }
        }
    }

    /// <summary>Writes everything, counts that were left for later included.</summary>
    public static async ValueTask WriteAsync(ImageParts parts)
    {
        await parts.Locks.Structure.AcquireAsync();
        await parts.Locks.Metadata.AcquireAsync();
        try
        {
            var lost = await TryStoreBitmapsAsync(parts);
            await parts.Order.RunAsync();
            bool hadSpare = parts.Unreadable.FreeSpare();
            if (await parts.Shared.SettleAsync() || hadSpare)
            {
                await parts.Order.RunAsync();
            }

            await parts.Holes.PunchAllAsync();
            await FillLastClusterAsync(parts);
            await parts.Counts.WriteAsync();
            var header = parts.Header;
            if (header.Has(IncompatibleFeatures.Dirty) && !parts.Mark.Stays)
            {
                await parts.Storage.FlushAsync();
                await header.WriteAsync(header.Fields with { Incompatible = header.Fields.Incompatible & ~IncompatibleFeatures.Dirty });
            }

            await parts.ZoneData.EndAsync();
            await parts.Storage.FlushAsync();
            if (lost is not null)
            {
                throw lost;
            }
        }
        finally
        {
            parts.Locks.Metadata.Release();
            parts.Locks.Structure.Release();
        }
    }

    // as in QEMU a file does not end inside a cluster of data, though nothing but zeroes is missing there
    private static async ValueTask FillLastClusterAsync(ImageParts parts)
    {
        long end = parts.Allocator.DataEnd.Value, length = parts.Storage.Length;
        if (length >= end || length <= end - parts.Header.Geometry.ClusterSize)
        {
            return;
        }

        try
        {
            await parts.Storage.SetLengthAsync(end);
        }
        catch (BlockException)
        {
            // whoever reads past the end reads zeroes all the same
        }
    }

    // without its bitmaps the image is as good as ever: it is closed, and then the failure is reported
    private static async ValueTask<BitmapsLostException?> TryStoreBitmapsAsync(ImageParts parts)
    {
        try
        {
            await parts.Bitmaps.StoreAsync();
            return null;
        }
        catch (BlockException e)
        {
            return new BitmapsLostException(parts.Storage.Name, e);
        }
    }
}
