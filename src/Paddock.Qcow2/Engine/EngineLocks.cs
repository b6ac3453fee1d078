using System.Runtime.CompilerServices;
using Paddock.Block.Concurrency;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The locks of an open image, in the order in which they are taken: a range of guest clusters (shared for reads and writes in
/// place, exclusive where the mapping changes), a range of subclusters, then the metadata mutex, then the short locks inside the
/// caches and lists.
/// </summary>
internal sealed class EngineLocks
{
    private readonly RangeLock _clusters = new();

    /// <summary>
    /// Subclusters, by their index on the disk, that a write stores in clusters which it holds shared.
    /// </summary>
    public RangeLock Subclusters { get; } = new();

    /// <summary>
    /// Changes of the disk's size and of its snapshots exclude each other; taken before all other locks, those of zones included.
    /// </summary>
    public AsyncMutex Structure { get; } = new();

    /// <summary>
    /// Tables are loaded, changed and written under it. Data never move under it, so requests do not wait for each other's data.
    /// </summary>
    public AsyncMutex Metadata { get; } = new();

    /// <summary>Completes when the caller holds the clusters.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ValueTask AcquireAsync(GuestClusters clusters, bool exclusive)
        => _clusters.AcquireAsync(clusters.First.Index, clusters.Last.Index, exclusive);

    /// <summary>Completes when the caller holds two ranges of clusters exclusively; each is released by itself.</summary>
    public ValueTask AcquireBothAsync(GuestClusters first, GuestClusters second)
        => _clusters.AcquireBothAsync(first.First.Index, first.Last.Index, second.First.Index, second.Last.Index);

    /// <summary>Gives up a hold taken with the same arguments.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Release(GuestClusters clusters, bool exclusive) => _clusters.Release(clusters.First.Index, clusters.Last.Index, exclusive);

    /// <summary>Does work while no other change of the size or of snapshots runs.</summary>
    public async ValueTask WithStructureAsync(Func<ValueTask> work)
    {
        await Structure.AcquireAsync();
        try
        {
            await work();
        }
        finally
        {
            Structure.Release();
        }
    }

    /// <summary>Does work under the metadata mutex.</summary>
    public async ValueTask WithMetadataAsync(Func<ValueTask> work)
    {
        await Metadata.AcquireAsync();
        try
        {
            await work();
        }
        finally
        {
            Metadata.Release();
        }
    }

    /// <summary>Does work under the metadata mutex.</summary>
    public async ValueTask<T> WithMetadataAsync<T>(Func<ValueTask<T>> work)
    {
        await Metadata.AcquireAsync();
        try
        {
            return await work();
        }
        finally
        {
            Metadata.Release();
        }
    }
}
