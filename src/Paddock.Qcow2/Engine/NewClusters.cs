using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Clusters for guest data that has none: allocated before the data is written, mapped after it. Takes the metadata mutex; the
/// caller holds the guest clusters exclusively.
/// </summary>
/// <param name="geometry">The image's.</param>
/// <param name="locks">The image's.</param>
/// <param name="map">Where guest clusters are.</param>
/// <param name="allocator">Finds free clusters.</param>
/// <param name="isEncrypted">Whether data are encrypted: what the file holds as zeroes does not read as zeroes then.</param>
internal sealed class NewClusters(ClusterGeometry geometry, EngineLocks locks, ClusterMap map, Allocator allocator, bool isEncrypted)
{
    /// <summary>Allocates up to so many adjacent clusters for the guest clusters from <paramref name="start"/> on.</summary>
    public async ValueTask<ClusterRun> AllocateAsync(GuestOffset start, long count)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await map.EnsureTableAsync(start);
            var run = await allocator.AllocateUpToAsync(count);
            return isEncrypted ? run with { KnownZero = false } : run;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Frees clusters that were not mapped.</summary>
    public async ValueTask FreeAsync(ClusterRun run)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await allocator.FreeNowAsync(new(run.First, run.Count));
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>
    /// Maps the guest clusters from <paramref name="start"/> on to a run, and frees, when that is safe, what they had before.
    /// </summary>
    /// <param name="start">First guest byte.</param>
    /// <param name="run">The clusters.</param>
    /// <param name="flags">Bits that each entry has beside its offset.</param>
    public async ValueTask MapAsync(GuestOffset start, ClusterRun run, ulong flags = 0)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            var table = await map.EnsureTableAsync(start);
            var host = geometry.OffsetOf(run.First);
            for (long i = 0; i < run.Count; i++)
            {
                long at = geometry.BytesIn(i);
                var old = await map.SetAsync(table, start + at, new L2Entry(L2Entry.Normal(host + at).Raw | flags));
                if (old.IsCompressed || old.Offset != host + at)
                {
                    map.Release(old);
                }
            }
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
