using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Finds free clusters, and frees clusters at the moment when that is safe: their counts go down only after whatever referred to
/// them is durably gone (<see cref="FreeLater"/>). Under the image's metadata mutex.
/// </summary>
internal sealed class Allocator : IFlushStage
{
    /// <summary>A gap of so many bytes, or clusters, is worth a request of its own; shorter ones are left to shorter requests.</summary>
    private const long UsefulBytes = 64 << 10, MaxUsefulRun = 8;

    /// <summary>Clusters that a request looks at to find a gap for all of it.</summary>
    private const long MaxPassedDistance = 4096;

    /// <summary>Bytes whose space a flush returns where none is kept.</summary>
    private const long PunchBytesAFlush = 64 << 20;

    private readonly IStorage _storage;
    private readonly ClusterGeometry _geometry;
    private readonly MetadataGuard _guard;
    private readonly MetadataReservation _reservation;
    private readonly Refcounts _counts;
    private readonly RefcountTableGrowth _growth;
    private readonly HolePuncher _holes;
    private readonly HeldCounts _held;
    private readonly List<HostClusters> _pendingFrees = [];

    // of data to which other entries may refer, in runs: a disk may be freed at once
    private readonly Queue<HostClusters> _pendingShared = [];
    private readonly GapCursors _gaps = new();
    private readonly FreshClusters _fresh = new();
    private readonly List<HostCluster> _unreferenced = [];
    private readonly List<HostClusters> _freed = [];
    private readonly long _usefulRun;
    private readonly bool _punchesAtFlush;
    private HostOffset _freeByte;
    private long _pendingFreeClusters;
    private HostCluster _dataEnd;
    private HostClusters _lastShared;

    /// <param name="storage">Told of each step, for fault rules.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="guard">Where a corruption is reported.</param>
    /// <param name="reservation">Takes the space of new refcount blocks.</param>
    /// <param name="counts">The counts.</param>
    /// <param name="growth">Makes the refcount table larger.</param>
    /// <param name="holes">Takes the space of freed clusters.</param>
    /// <param name="held">Decides about clusters that may be shared.</param>
    /// <param name="punchesAtFlush">Whether a flush returns that space: nothing else does.</param>
    public Allocator(
        IStorage storage, ClusterGeometry geometry, MetadataGuard guard, MetadataReservation reservation, Refcounts counts,
        RefcountTableGrowth growth, HolePuncher holes, HeldCounts held, bool punchesAtFlush)
    {
        _storage = storage;
        _geometry = geometry;
        _guard = guard;
        _reservation = reservation;
        _counts = counts;
        _growth = growth;
        _holes = holes;
        _held = held;
        _punchesAtFlush = punchesAtFlush;
        _usefulRun = Math.Clamp(UsefulBytes >> geometry.ClusterBits, 1, MaxUsefulRun);
    }

    /// <summary>Clusters whose counts wait to go down.</summary>
    public long PendingFreeClusters => _pendingFreeClusters;

    /// <summary>Where the last cluster ends that was allocated for data.</summary>
    public HostOffset DataEnd => _geometry.OffsetOf(_dataEnd);

    /// <inheritdoc/>
    public bool IsDue => _pendingFreeClusters > 0 || (_punchesAtFlush && _holes.HoldsSpace);

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <summary>Allocates adjacent clusters with a count of one.</summary>
    /// <param name="count">How many.</param>
    /// <param name="what">What they are for, in messages.</param>
    public async ValueTask<ClusterRun> AllocateAsync(long count, string what = "metadata")
    {
        await _storage.OnEventAsync("cluster_alloc");
        return count >= 1L << _geometry.RefcountBlockBits
            ? await AllocateLongRunAsync(count) // blocks that describe themselves leave no run of this length between them
            : await AllocateRunAsync(count, count, InvalidAllocation(what));
    }

    /// <summary>
    /// Allocates adjacent clusters for data, with a count of one: as many as asked for, or, where no such gap is near, the next gap of a
    /// useful length. Many gaps that are passed over would be lost to a client that writes in long requests.
    /// </summary>
    public async ValueTask<ClusterRun> AllocateUpToAsync(long count)
    {
        await _storage.OnEventAsync("cluster_alloc");
        count = Math.Min(count, (1L << _geometry.RefcountBlockBits) - 1);
        var run = await AllocateRunAsync(
            count, count < _usefulRun ? 1 : _usefulRun, "Preventing invalid write on metadata (overlaps with qcow2_header)");
        _fresh.Add(new(run.First, run.Count));
        _dataEnd = run.First + run.Count > _dataEnd ? run.First + run.Count : _dataEnd;
        return run;
    }

    /// <summary>Room for a compressed cluster; several share a host cluster and may reach into the next.</summary>
    public async ValueTask<HostOffset> AllocateBytesAsync(int bytes)
    {
        await _storage.OnEventAsync("cluster_alloc_bytes");
        int clusterSize = _geometry.ClusterSize;
        int left = _freeByte.IsNone ? 0 : clusterSize - _geometry.InCluster(_freeByte);
        if (left == clusterSize)
        {
            left = 0;
        }

        var current = _geometry.ClusterOf(_freeByte);
        bool canShare = left > 0 && await _counts.GetAsync(current) < _geometry.MaxRefcount;
        HostOffset at;
        if (canShare && left >= bytes)
        {
            await _counts.AddAsync(new(current, 1), 1);
            at = _freeByte;
        }
        else
        {
            var next = (await AllocateRunAsync(1, 1, InvalidAllocation("compressed cluster"))).First;
            at = _geometry.OffsetOf(next);
            if (canShare && next == current + 1)
            {
                await _counts.AddAsync(new(current, 1), 1);
                at = _freeByte;
            }
        }

        _freeByte = at + bytes;
        return at;
    }

    /// <summary>Lowers counts at the next safe moment: once the tables that no longer refer to the clusters are durable.</summary>
    public void FreeLater(HostClusters clusters)
    {
        _pendingFreeClusters += clusters.Count;
        if (clusters.Count == 1 && _fresh.TryTake(clusters.First))
        {
            // no table on the storage has ever referred to it: the next allocation may have it
            _unreferenced.Add(clusters.First);
            return;
        }

        if (_pendingFrees.Count > 0 && _pendingFrees[^1] is var last && last.End == clusters.First)
        {
            _pendingFrees[^1] = last with { Count = last.Count + clusters.Count };
            return;
        }

        _pendingFrees.Add(clusters);
    }

    /// <summary>The same for a cluster of data, to which other entries may refer.</summary>
    public void FreeDataLater(HostCluster cluster)
    {
        if (!_held.IsActive || _fresh.Contains(cluster))
        {
            FreeLater(new(cluster, 1));
            return;
        }

        _pendingFreeClusters++;
        if (_lastShared.Count > 0 && _lastShared.End == cluster)
        {
            _lastShared = _lastShared with { Count = _lastShared.Count + 1 };
            return;
        }

        QueueShared();
        _lastShared = new(cluster, 1);
    }

    /// <summary>
    /// Writes counts that wait for the image to be closed (lazy refcounts): as in QEMU when a table is allocated, so that what a crash
    /// leaves to be repaired is data mostly.
    /// </summary>
    public ValueTask WriteLazyCountsAsync() => _counts.IsLazy ? _counts.WriteAsync() : default;

    /// <summary>L2 tables are about to be written: what they refer to is not fresh any more.</summary>
    public void TablesReachStorage() => _fresh.Clear();

    /// <summary>
    /// In a flush: lowers the counts that wait, as what referred to the clusters is durably gone; returns space that is due.
    /// </summary>
    public async ValueTask WriteAsync()
    {
        if (_pendingFreeClusters > 0)
        {
            await ApplyFreesAsync();
        }

        if (_punchesAtFlush && _holes.HoldsSpace)
        {
            await _holes.PunchDueAsync(PunchBytesAFlush);
        }
    }

    /// <summary>Lowers counts of clusters that nothing durable refers to.</summary>
    public async ValueTask FreeNowAsync(HostClusters clusters)
    {
        await _storage.OnEventAsync("cluster_free");
        _freed.Clear();
        try
        {
            await _counts.LowerAsync(clusters, _freed);
        }
        finally
        {
            _fresh.Remove(clusters);
            foreach (var run in _freed)
            {
                _gaps.Freed(run.First);
                if (_geometry.ClusterOf(_freeByte) is var open && open >= run.First && open < run.End)
                {
                    _freeByte = default;
                }

                await _holes.AddAsync(run);
            }
        }
    }

    private static string InvalidAllocation(string what) => $"Preventing invalid allocation of {what} at offset 0";

    private async ValueTask<ClusterRun> AllocateRunAsync(long most, long least, string invalid)
    {
        await FreeUnreferencedAsync();
        while (true)
        {
            var (gap, passed) = await FindGapAsync(most, least);
            if (gap.End.Index > long.MaxValue >> _geometry.ClusterBits)
            {
                throw new BlockException(BlockError.TooLarge, "the image is full: no host offset is left");
            }

            // a new block takes a cluster itself, perhaps one of those just found: search again
            if (await EnsureCountedAsync(gap))
            {
                continue;
            }

            if (gap.First.Index == 0)
            {
                // the header's cluster is counted as free: nothing that is allocated here is safe
                await _guard.FailAsync(invalid, default);
            }

            await _counts.AddAsync(gap, 1);
            bool knownZero = gap.First >= _counts.NeverUsed;
            _counts.Use(gap.End);
            if (passed > 0)
            {
                _gaps.AllocatedBehind(gap, passed);
            }
            else
            {
                _gaps.Allocated(gap, least, _usefulRun);
            }

            return new ClusterRun(gap.First, gap.Count, knownZero);
        }
    }

    /// <summary>The first gap; or a later one that has room for all, where little space is passed over for it.</summary>
    private async ValueTask<(HostClusters Gap, long Passed)> FindGapAsync(long most, long least)
    {
        var start = _gaps.StartFor(least, _usefulRun);
        var first = await _counts.FindGapAsync(start, most, least);
        if (first.Count == most)
        {
            return (first, 0);
        }

        long mayPass = _gaps.MayPass(start), passed = 0;
        for (var gap = first; gap.Count > 0 && (passed += gap.Count) <= mayPass;)
        {
            gap = await _counts.FindGapAsync(gap.End, most, 1, until: start + MaxPassedDistance);
            if (gap.Count == most)
            {
                return (gap, passed);
            }
        }

        _gaps.FillAll();
        return (await _counts.FindGapAsync(_gaps.StartFor(least, _usefulRun), most, least), 0);
    }

    /// <summary>True when a block or a larger table had to be made.</summary>
    private async ValueTask<bool> EnsureCountedAsync(HostClusters clusters)
    {
        if (clusters.End <= _counts.TableEnd)
        {
            return await _counts.EnsureBlocksAsync(clusters);
        }

        await GrowTableAsync(((clusters.End.Index - 1) >> _geometry.RefcountBlockBits) + 1);
        return true;
    }

    private async ValueTask GrowTableAsync(long entries) => await FreeNowAsync(await _growth.GrowAsync(entries));

    /// <summary>
    /// A run that is longer than what one refcount block counts: after everything that has a block, first the new blocks, side by side,
    /// then the run.
    /// </summary>
    private async ValueTask<ClusterRun> AllocateLongRunAsync(long count)
    {
        int bits = _geometry.RefcountBlockBits;
        long blocks = 1;
        while (blocks << bits < blocks + count)
        {
            blocks++;
        }

        while (_counts.EntriesInUse + blocks > _counts.TableEntries)
        {
            await GrowTableAsync(_counts.TableEntries + blocks + 1);
        }

        int firstIndex = _counts.EntriesInUse;
        var start = _counts.FirstOf(firstIndex);
        for (int i = 0; i < blocks; i++)
        {
            await _counts.MakeBlockAtAsync(firstIndex + i, start + i);
            await _reservation.EnsureAsync(_geometry.OffsetOf(start + i), _geometry.ClusterSize);
        }

        await _counts.AddAsync(new(start, blocks + count), 1);
        var first = start + blocks;
        bool knownZero = first >= _counts.NeverUsed;
        _counts.Use(first + count);
        return new ClusterRun(first, count, knownZero);
    }

    private async ValueTask ApplyFreesAsync()
    {
        await FreeUnreferencedAsync();
        int done = 0;
        try
        {
            while (done < _pendingFrees.Count)
            {
                var clusters = _pendingFrees[done++];
                _pendingFreeClusters -= clusters.Count;
                await FreeNowAsync(clusters);
            }

            await ApplySharedAsync();
        }
        catch (BlockException e)
        {
            throw new ClusterFreeException(e);
        }
        finally
        {
            // a run that failed half way is not tried again: it may leak; the others wait for the next flush
            _pendingFrees.RemoveRange(0, done);
        }
    }

    private async ValueTask ApplySharedAsync()
    {
        QueueShared();
        while (_pendingShared.TryDequeue(out var clusters))
        {
            // a cluster that failed half way is not tried again: it may leak; the others wait for the next flush
            long done = 0;
            try
            {
                while (done < clusters.Count)
                {
                    var cluster = clusters.First + done++;
                    _pendingFreeClusters--;
                    for (ulong times = await _held.ReleaseAsync(cluster); times > 0; times--)
                    {
                        await FreeNowAsync(new(cluster, 1));
                    }
                }
            }
            finally
            {
                if (done < clusters.Count)
                {
                    _pendingShared.Enqueue(new(clusters.First + done, clusters.Count - done));
                }
            }
        }
    }

    private void QueueShared()
    {
        if (_lastShared.Count > 0)
        {
            _pendingShared.Enqueue(_lastShared);
            _lastShared = default;
        }
    }

    private async ValueTask FreeUnreferencedAsync()
    {
        while (_unreferenced.Count > 0)
        {
            var cluster = _unreferenced[^1];
            _unreferenced.RemoveAt(_unreferenced.Count - 1);
            _pendingFreeClusters--;
            await FreeNowAsync(new(cluster, 1));
        }
    }
}
