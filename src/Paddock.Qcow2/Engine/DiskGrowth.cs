using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Grows the disk. Everything between the old and the new end is made to read as zeroes, durably, before the header has the new
/// size: a crash or an error leaves the old size.
/// </summary>
internal sealed class DiskGrowth(
    ImageHeader header, DataLayer data, DiskSize size, L1Growth l1, DiskTail tail, ClusterClearing clearing, ZeroWriter zeroes,
    SpaceAhead space, ImageFlush flush, IBlockDevice? backing)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Grows, together with a table where one changes with the size.</summary>
    public async ValueTask RunAsync(long length, Preallocation preallocation, TableMove? move, CancellationToken cancellationToken)
    {
        long old = header.VirtualSize;
        size.Check(length);
        if (data.IsRaw && preallocation == Preallocation.Off)
        {
            // whatever the file holds there is on the disk: entries must refer to it
            preallocation = Preallocation.Metadata;
        }

        await l1.EnsureAsync(_geometry.L1EntriesFor(length));
        if (length > old)
        {
            try
            {
                await ClearAsync(new(old), new(length), preallocation, cancellationToken);
                await GrowDataFileAsync(length, preallocation, cancellationToken);
            }
            catch
            {
                await AbandonAsync(new(old), new(length));
                throw;
            }
        }

        await size.SetAsync(length, move);
        await flush.RunAsync();
    }

    private async ValueTask ClearAsync(GuestOffset old, GuestOffset end, Preallocation preallocation, CancellationToken cancellationToken)
    {
        await tail.ClearAsync(old, hideBacking: true, preallocation != Preallocation.Off, cancellationToken);
        var first = _geometry.AlignUp(old);
        var last = _geometry.AlignUp(end);

        // a resize that was interrupted, or another program, may have left entries here
        await clearing.ClearAsync(first, last, Deallocation.Remove);
        if (preallocation != Preallocation.Off)
        {
            await space.PreallocateAsync(_geometry.HasSubclusters ? old : first, end, preallocation);
        }

        bool isStored = preallocation != Preallocation.Off && !_geometry.HasSubclusters;
        var hidden = backing is null || isStored ? default : _geometry.AlignUp(GuestOffset.Min(end, new(backing.Length)));
        if (hidden <= first)
        {
            return;
        }

        if (header.HasVersion3)
        {
            await clearing.ClearAsync(
                first, hidden, preallocation == Preallocation.Off ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
        }
        else
        {
            await zeroes.WriteBytesAsync(first, hidden - first, ZeroFlags.None, cancellationToken);
        }
    }

    // an external data file reaches to the disk's end, so that it may be used without the image; a longer one is cut only where
    // nothing was to be preallocated
    private async ValueTask GrowDataFileAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        if (data.IsExternal && (data.Storage.Length < length || (data.Storage.Length > length && preallocation == Preallocation.Off)))
        {
            await data.Storage.SetLengthAsync(length, Preallocation.Off, cancellationToken);
        }
    }

    /// <summary>
    /// Frees what a failed growth stored after the end; whatever cannot be freed now is freed by the next change of the size.
    /// </summary>
    private async ValueTask AbandonAsync(GuestOffset old, GuestOffset end)
    {
        try
        {
            await clearing.ClearAsync(_geometry.AlignUp(old), _geometry.AlignUp(end), Deallocation.Remove);
            await flush.RunAsync();
        }
        catch (BlockException)
        {
            // the error that ended the growth is the one to report
        }
    }
}
