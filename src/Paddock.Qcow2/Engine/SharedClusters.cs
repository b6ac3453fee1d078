using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// What a copy that shares clusters leaves to be done: the image is marked dirty until its changes are durable, and counts that are too
/// high (<see cref="HeldCounts"/>) go down when the image is closed, together with the COPIED flags that they allow. Under the image's
/// metadata mutex.
/// </summary>
internal sealed class SharedClusters(
    ClusterGeometry geometry, ClusterMap map, L1Table l1, Refcounts counts, Allocator allocator, BlocksHeader blocks, HeldCounts held,
    RepairMark mark) : IFlushStage
{
    /// <summary>So many clusters with a count that is too high are settled by the next flush.</summary>
    private const int MaxHeld = 1 << 16;

    private readonly int _entryBytes = geometry.ClusterSize >> geometry.L2Bits;
    private bool _isMarked, _isClearable, _isUncertain;

    /// <inheritdoc/>
    public bool IsDue => _isClearable || held.Count >= MaxHeld;

    /// <inheritdoc/>
    public void Begin() => _isClearable = _isMarked && !_isUncertain;

    /// <summary>At the end of a flush: what was changed before it is durable.</summary>
    public async ValueTask WriteAsync()
    {
        if (_isClearable)
        {
            await mark.ClearForCopyAsync();
            _isMarked = _isClearable = false;
        }

        if (held.Count >= MaxHeld)
        {
            await SettleAsync();
        }
    }

    /// <summary>
    /// Before the first change of a copy: the header says, durably, that clusters may be shared, and the image is marked.
    /// </summary>
    /// <exception cref="Block.BlockException">The header has no room to say it, or writing failed.</exception>
    public async ValueTask StartAsync()
    {
        if (!blocks.Extension.SharesClusters)
        {
            await blocks.PutAsync(blocks.Extension with { SharesClusters = true });
        }

        await MarkAsync();
    }

    /// <summary>A copy has failed after it counted a reference to a cluster, whose flag may still be set.</summary>
    public void Abandon(HostCluster cluster)
    {
        _isUncertain = true;
        held.Abandon(cluster);
    }

    /// <summary>
    /// Lowers the counts that are too high, and sets the COPIED flags of entries that have their clusters to themselves again. Durable, and
    /// the mark gone, with the next flush that begins after it.
    /// </summary>
    /// <returns>Whether there was anything to do.</returns>
    public async ValueTask<bool> SettleAsync()
    {
        if (held.Count == 0)
        {
            return false;
        }

        await MarkAsync();
        try
        {
            var single = new HashSet<HostCluster>();
            foreach (var (cluster, times) in held.TakeAll())
            {
                for (ulong i = 0; i < times; i++)
                {
                    await allocator.FreeNowAsync(new(cluster, 1));
                }

                if (await counts.GetAsync(cluster) == 1)
                {
                    single.Add(cluster);
                }
            }

            await SetFlagsAsync(single);
        }
        catch
        {
            // the next opening repairs what is left
            mark.Keep();
            throw;
        }

        _isUncertain = false;
        return true;
    }

    private async ValueTask MarkAsync()
    {
        _isClearable = false;
        if (!_isMarked)
        {
            await mark.SetForCopyAsync();
            _isMarked = true;
        }
    }

    private async ValueTask SetFlagsAsync(HashSet<HostCluster> single)
    {
        var slice = new byte[map.SliceBytes];
        for (int index = 0; index < l1.Count && single.Count > 0; index++)
        {
            var table = l1.TableAt(index);
            if (table.IsNone || geometry.InCluster(table) != 0 || !l1.IsOwn(geometry.MappedBy(index)))
            {
                continue;
            }

            for (int at = 0; at < geometry.ClusterSize && single.Count > 0; at += slice.Length)
            {
                (await map.LoadSliceAsync(table + at)).CopyTo(slice, 0);
                if (SetFlags(slice, single))
                {
                    map.ReplaceSlice(table + at, slice);
                }
            }
        }
    }

    private bool SetFlags(byte[] slice, HashSet<HostCluster> single)
    {
        bool changed = false;
        for (int i = 0; i < slice.Length; i += _entryBytes)
        {
            var entry = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(slice.AsSpan(i)));
            if (!entry.IsCompressed && !entry.Offset.IsNone && single.Remove(geometry.ClusterOf(entry.Offset)) && !entry.IsCopied)
            {
                slice[i] |= 0x80;
                changed = true;
            }
        }

        return changed;
    }
}
