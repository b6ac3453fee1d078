using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Shrinks the disk: the new size first, durably, so that a crash leaves the old disk or the new one, then the clusters, then the
/// file's end.
/// </summary>
internal sealed class DiskShrink(
    ImageHeader header, EngineLocks locks, DiskSize size, DiskTail tail, ClusterMap map, ClusterClearing clearing,
    RefcountTrimming trimming, ImageFlush flush)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Shrinks, together with a table where one changes with the size.</summary>
    public async ValueTask RunAsync(long length, TableMove? move)
    {
        var old = new GuestOffset(header.VirtualSize);
        var end = new GuestOffset(length);
        await size.SetAsync(length, move);
        await flush.RunAsync();
        await clearing.ClearAsync(_geometry.AlignUp(end), _geometry.AlignUp(old), Deallocation.Remove);

        // programs that do not clear what they grow over would show what was cut off
        await tail.ClearAsync(end, hideBacking: false, allocate: false, CancellationToken.None);
        await RemoveTablesAsync(_geometry.L1EntriesFor(length));
        await flush.RunAsync();
        await TrimAsync();
    }

    private async ValueTask RemoveTablesAsync(long fromL1Index)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            map.RemoveTables(fromL1Index);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask TrimAsync()
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await trimming.TrimAsync();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
