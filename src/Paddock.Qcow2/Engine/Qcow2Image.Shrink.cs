using Paddock.Block;

namespace Paddock.Qcow2;

// shrinking
public sealed partial class Qcow2Image
{
    /// <summary>
    /// Shrinks the disk: the new size first, durably, so that a crash leaves the old disk or the new one, then the clusters, then the file's end.
    /// </summary>
    private async ValueTask ShrinkAsync(long length)
    {
        long old = Length;
        await SetSizeAsync(length);
        await FlushAsync();
        await SetWholeClustersAsync(
            _geometry.ClustersFor(length) << _geometry.ClusterBits, _geometry.ClustersFor(old) << _geometry.ClusterBits, Deallocation.Remove);

        // programs that do not clear what they grow over would show what was cut off
        await ClearTailAsync(length, hideBacking: false, allocate: false, CancellationToken.None);
        await RemoveL2TablesAsync(_geometry.L1EntriesFor(length));
        await FlushAsync();
        await _meta.AcquireAsync();
        try
        {
            await _refcounts.TrimAsync();
        }
        finally
        {
            _meta.Release();
        }
    }

    private async ValueTask RemoveL2TablesAsync(long fromEntry)
    {
        await _meta.AcquireAsync();
        try
        {
            for (long i = fromEntry; i < _l1.Length; i++)
            {
                long table = L2TableOf(i << _geometry.L1Shift);
                if (table != 0)
                {
                    _l2.Forget(table, _geometry.ClusterSize);
                    _metadataMap.Set(table, Engine.MetadataKind.None);
                    _refcounts.FreeLater(table >> _geometry.ClusterBits, 1);
                    _l1[i] = 0;
                    _dirtyL1.Add((int)i);
                }
            }
        }
        finally
        {
            _meta.Release();
        }
    }
}
