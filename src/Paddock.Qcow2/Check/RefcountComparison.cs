using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Compares stored refcounts with counted references, cluster by cluster, and corrects them in place.</summary>
internal sealed class RefcountComparison(CheckContext context, FreedClusters freed)
{
    /// <summary>A refcount block that the table names more than once is compared this often, then no more: it is broken anyway.</summary>
    private const int MaxRepeatedBlocks = 256;

    private readonly CheckedImage _image = context.Image;
    private HostCluster _highest;
    private bool _reportedUnaligned;

    /// <summary>
    /// Compares everything. Ranges that have neither a refcount block nor references are skipped: a huge sparse file costs nothing.
    /// </summary>
    public async ValueTask RunAsync(bool fixesLeaks, bool fixesErrors, CancellationToken cancellationToken)
    {
        var stored = context.Stored;
        _highest = default;
        var seen = new HashSet<HostOffset>();
        int repeated = 0;
        long indexes = ((context.Clusters - 1) >> stored.BlockBits) + 1;
        foreach (long index in InterestingBlocks(indexes))
        {
            var from = new HostCluster(index << stored.BlockBits);
            var until = new HostCluster(Math.Min(from.Index + (1L << stored.BlockBits), context.Clusters));
            var offset = stored.BlockOffset(from);
            if (offset.Value != 0 && !seen.Add(offset) && ++repeated > MaxRepeatedBlocks)
            {
                continue;
            }

            bool known = offset.Value != 0 && !await IsHoleAsync(offset, cancellationToken);
            for (var cluster = from; cluster < until; cluster += 1)
            {
                if (!known && !context.References.HasPage(cluster))
                {
                    cluster = ReferenceMap.PageEnd(cluster);
                    continue;
                }

                if (known && await stored.TryLoadAsync(cluster, cancellationToken))
                {
                    cluster = SkipEqual(cluster, until);
                    if (cluster >= until)
                    {
                        break;
                    }
                }

                await CompareAsync(cluster, fixesLeaks, fixesErrors, cancellationToken);
            }
        }

        await stored.WriteBackAsync(cancellationToken);
        context.EndOfUsed = _image.OffsetOf(_highest + 1);
    }

    /// <summary>The first cluster of a loaded refcount block that has to be compared by itself, or <paramref name="until"/>.</summary>
    private HostCluster SkipEqual(HostCluster cluster, HostCluster until)
    {
        while (cluster < until)
        {
            var counted = context.References.NarrowCounts(cluster);
            counted = counted[..(int)Math.Min(counted.Length, until.Index - cluster.Index)];
            var (equal, used) = context.Stored.CompareLoaded(cluster, counted);
            if (used != 0)
            {
                _highest = cluster + (used - 1);
            }

            cluster += equal;
            if (equal < counted.Length || counted.IsEmpty)
            {
                break;
            }
        }

        return cluster;
    }

    private SortedSet<long> InterestingBlocks(long limit)
    {
        var stored = context.Stored;
        var indexes = new SortedSet<long>();
        for (int i = 0; i < stored.Table.Length && i < limit; i++)
        {
            if (stored.Table[i] != 0)
            {
                indexes.Add(i);
            }
        }

        foreach (long page in context.References.PageIndexes())
        {
            long first = page * ReferenceMap.PageClusters;
            for (long cluster = first; cluster < first + ReferenceMap.PageClusters; cluster += 1L << stored.BlockBits)
            {
                if (cluster >> stored.BlockBits < limit)
                {
                    indexes.Add(cluster >> stored.BlockBits);
                }
            }
        }

        return indexes;
    }

    private async ValueTask<bool> IsHoleAsync(HostOffset offset, CancellationToken cancellationToken)
    {
        if (offset.Value < 0 || offset.Value >= context.Storage.Length)
        {
            return offset.Value >= 0 && _image.IsAligned(offset);
        }

        if (!_image.IsAligned(offset))
        {
            return false;
        }

        long rest = Math.Min(_image.ClusterSize, context.Storage.Length - offset.Value);
        var status = await context.Storage.GetStatusAsync(offset.Value, rest, cancellationToken);
        return (status.Flags & BlockStatusFlags.Zero) != 0 && status.Length >= rest;
    }

    private async ValueTask CompareAsync(HostCluster cluster, bool fixesLeaks, bool fixesErrors, CancellationToken cancellationToken)
    {
        if (await context.Stored.GetAsync(cluster, cancellationToken) is not { } stored)
        {
            ReportUnaligned(cluster);
            context.Print($"Can't get refcount for cluster {cluster.Index}: Input/output error");
            context.Report.CheckErrors++;
            return;
        }

        ulong counted = context.References[cluster];
        if (stored > 0 || counted > 0)
        {
            _highest = cluster;
        }

        if (stored == counted)
        {
            return;
        }

        // a refcount of 0 may have no block: it takes a rebuild
        bool leak = stored > counted;
        bool repairs = leak ? fixesLeaks : stored != 0 && fixesErrors;
        context.NeedsRebuild |= stored == 0;
        string found = repairs ? "Repairing" : leak ? "Leaked" : "ERROR";
        context.Print($"{found} cluster {cluster.Index} refcount={stored} reference={counted}");
        if (!repairs)
        {
            _ = leak ? context.Report.Leaks++ : context.Report.Corruptions++;
            return;
        }

        await context.Stored.SetAsync(cluster, counted, cancellationToken);
        _ = leak ? context.Report.LeaksFixed++ : context.Report.CorruptionsFixed++;
        if (counted == 0)
        {
            freed.Add(cluster);
        }
    }

    /// <summary>QEMU prints this once, when it first needs a block that cannot be where the table says.</summary>
    private void ReportUnaligned(HostCluster cluster)
    {
        if (!_reportedUnaligned)
        {
            string where = $"Refblock offset 0x{context.Stored.BlockOffset(cluster).Value:x} unaligned " +
                $"(reftable index: {Hex(cluster.Index >> context.Stored.BlockBits)})";
            context.Print(context.Repair == Qcow2Repair.None
                ? $"qcow2: Image is corrupt: {where}; further non-fatal corruption events will be suppressed"
                : $"qcow2: Marking image as corrupt: {where}; further corruption events will be suppressed");
        }

        _reportedUnaligned = true;
    }

    /// <summary>As C's %#x: zero has no prefix.</summary>
    private static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";
}
