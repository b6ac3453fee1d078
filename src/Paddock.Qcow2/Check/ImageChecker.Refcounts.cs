using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Check;

/// <summary>Refcount blocks: their own references, and what they say against what was counted.</summary>
internal sealed partial class ImageChecker
{
    /// <summary>How far past the end of the storage a repair grows it to hold a refcount block that is said to be there.</summary>
    private const long MaxRepairGrowth = 1L << 40;

    /// <summary>A refcount block that stands in the table more than once is compared this often, then no more: it is broken anyway.</summary>
    private const int MaxRepeatedBlocks = 256;

    private readonly List<(long Cluster, long Count)> _freed = [];
    private bool _saidUnaligned;

    private async ValueTask CountRefcountBlocksAsync(bool fix)
    {
        for (int i = 0; i < _stored.Table.Length; i++)
        {
            ulong entry = _stored.Table[i];
            long offset = unchecked((long)(entry & ~0x1ffUL));
            if ((entry & 0x1ff) != 0)
            {
                SayCorruption($"ERROR refcount table entry {i} has reserved bits set");
                _rebuild = true;
            }
            else if ((offset & (image.ClusterSize - 1)) != 0)
            {
                SayCorruption($"ERROR refcount block {i} is not cluster aligned; refcount table entry corrupted");
                _rebuild = true;
            }
            else if (offset < 0 || offset >> image.ClusterBits >= _clusters)
            {
                await GrowToBlockAsync(i, offset, fix);
            }
            else if (offset != 0)
            {
                Reference(offset, image.ClusterSize);
                if (_references[offset >> image.ClusterBits] is not 1 and var count)
                {
                    SayCorruption($"ERROR refcount block {i} refcount={count}");
                    _rebuild = true;
                }
            }
        }
    }

    private async ValueTask GrowToBlockAsync(int index, long offset, bool fix)
    {
        SayCorruption($"{(fix ? "Repairing" : "ERROR")} refcount block {index} is outside image");
        if (!fix)
        {
            _rebuild = true;
            return;
        }

        if (offset < 0 || offset > _storage.Length + MaxRepairGrowth)
        {
            _rebuild = true;
            Say("ERROR could not resize image: Invalid argument");
            return;
        }

        await _storage.SetLengthAsync(offset + image.ClusterSize, cancellationToken: cancellationToken);
        _fileLength = _storage.Length;
        _clusters = Math.Max(_clusters, image.ClustersOf(_fileLength));
        _report.Corruptions--;
        _report.CorruptionsFixed++;
        Reference(offset, image.ClusterSize);
    }

    /// <summary>Compares block by block; ranges that neither side knows are passed over, so that a sparse giant costs nothing.</summary>
    private async ValueTask CompareAsync(bool fixLeaks, bool fixErrors)
    {
        _highest = 0;
        long span = 1L << _stored.BlockBits;
        var seen = new HashSet<long>();
        int repeated = 0;
        long indexes = ((_clusters - 1) >> _stored.BlockBits) + 1;
        foreach (long index in InterestingBlocks(indexes))
        {
            long from = index << _stored.BlockBits;
            long until = Math.Min(from + span, _clusters);
            long offset = _stored.BlockOffset(from);
            if (offset != 0 && !seen.Add(offset) && ++repeated > MaxRepeatedBlocks)
            {
                continue;
            }

            bool known = offset != 0 && !await IsHoleAsync(offset);
            for (long cluster = from; cluster < until; cluster++)
            {
                if (!known && !_references.HasPage(cluster))
                {
                    cluster |= ReferenceMap.PageClusters - 1;
                    continue;
                }

                await CompareOneAsync(cluster, fixLeaks, fixErrors);
            }
        }

        await _stored.WriteBackAsync(cancellationToken);
    }

    private SortedSet<long> InterestingBlocks(long limit)
    {
        var indexes = new SortedSet<long>();
        for (int i = 0; i < _stored.Table.Length && i < limit; i++)
        {
            if (_stored.Table[i] != 0)
            {
                indexes.Add(i);
            }
        }

        foreach (long page in _references.PageIndexes())
        {
            long first = page * ReferenceMap.PageClusters;
            for (long cluster = first; cluster < first + ReferenceMap.PageClusters; cluster += 1L << _stored.BlockBits)
            {
                if (cluster >> _stored.BlockBits < limit)
                {
                    indexes.Add(cluster >> _stored.BlockBits);
                }
            }
        }

        return indexes;
    }

    private async ValueTask<bool> IsHoleAsync(long offset)
    {
        if (offset < 0 || offset >= _storage.Length)
        {
            return offset >= 0 && (offset & (image.ClusterSize - 1)) == 0;
        }

        if ((offset & (image.ClusterSize - 1)) != 0)
        {
            return false;
        }

        long rest = Math.Min(image.ClusterSize, _storage.Length - offset);
        var status = await _storage.GetStatusAsync(offset, rest, cancellationToken);
        return (status.Flags & BlockStatusFlags.Zero) != 0 && status.Length >= rest;
    }

    private async ValueTask CompareOneAsync(long cluster, bool fixLeaks, bool fixErrors)
    {
        if (await _stored.GetAsync(cluster, cancellationToken) is not { } stored)
        {
            SayUnaligned(cluster);
            Say($"Can't get refcount for cluster {cluster}: Input/output error");
            _report.CheckErrors++;
            return;
        }

        ulong counted = _references[cluster];
        if (stored > 0 || counted > 0)
        {
            _highest = cluster;
        }

        if (stored == counted)
        {
            return;
        }

        bool leak = stored > counted;
        bool repairs = leak ? fixLeaks : stored != 0 && fixErrors;
        _rebuild |= stored == 0;
        Say($"{(repairs ? "Repairing" : leak ? "Leaked" : "ERROR")} cluster {cluster} refcount={stored} reference={counted}");
        if (!repairs)
        {
            _ = leak ? _report.Leaks++ : _report.Corruptions++;
            return;
        }

        await _stored.SetAsync(cluster, counted, cancellationToken);
        _ = leak ? _report.LeaksFixed++ : _report.CorruptionsFixed++;
        if (counted == 0)
        {
            Freed(cluster);
        }
    }

    /// <summary>QEMU says this once, when it first needs a block that cannot be where the table says.</summary>
    private void SayUnaligned(long cluster)
    {
        if (!_saidUnaligned)
        {
            string where = $"Refblock offset 0x{_stored.BlockOffset(cluster):x} unaligned (reftable index: {Hex(cluster >> _stored.BlockBits)})";
            Say(repair == Qcow2Repair.None
                ? $"qcow2: Image is corrupt: {where}; further non-fatal corruption events will be suppressed"
                : $"qcow2: Marking image as corrupt: {where}; further corruption events will be suppressed");
        }

        _saidUnaligned = true;
    }

    /// <summary>As C's %#x: zero has no prefix.</summary>
    private static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";

    private void Freed(long cluster)
    {
        if (_freed.Count > 0 && _freed[^1] is var (from, count) && from + count == cluster)
        {
            _freed[^1] = (from, count + 1);
        }
        else
        {
            _freed.Add((cluster, 1));
        }
    }

    /// <summary>Gives freed clusters back, after the refcounts that free them are durable.</summary>
    private async ValueTask DiscardFreedAsync()
    {
        foreach (var (cluster, count) in _freed)
        {
            long offset = cluster << image.ClusterBits;
            long bytes = Math.Min(count << image.ClusterBits, _storage.Length - offset);
            if (bytes > 0)
            {
                await _storage.DiscardAsync(offset, bytes, cancellationToken);
            }
        }
    }

    private async ValueTask CheckCopiedFlagsAsync()
    {
        // counts are right by now as far as they can be; a repair of leaks alone must be sure of it
        bool repairs = FixErrors || (repair == Qcow2Repair.Leaks && _report is { CheckErrors: 0, Corruptions: 0, Leaks: 0 });
        var table = await ReadL1Async(image.L1Offset, image.L1Entries);
        var done = new HashSet<long>();
        for (int i = 0; i < image.L1Entries; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i * 8));
            long l2 = (long)(entry & OffsetMask);
            if (l2 == 0 || await _stored.GetAsync(l2 >> image.ClusterBits, cancellationToken) is not { } count)
            {
                continue;
            }

            if ((count == 1) != ((entry & Copied) != 0))
            {
                SayCopied($"L2 cluster: l1_index={i} l1_entry={entry:x} refcount={count}", repairs);
                if (repairs)
                {
                    var bytes = new byte[8];
                    BinaryPrimitives.WriteUInt64BigEndian(bytes, entry ^ Copied);
                    await _storage.WriteAsync(image.L1Offset + (i * 8L), bytes, cancellationToken);
                }
            }

            // a table that stands in L1 twice has its lines printed once: it is reported as over-referenced already
            if (done.Add(l2) && await LoadL2Async(l2))
            {
                // what does not begin at a cluster is no table, and other tables may lie in it
                await CheckCopiedInL2Async(l2, repairs && (l2 & (image.ClusterSize - 1)) == 0);
            }
        }

        await _storage.FlushAsync(cancellationToken);
    }

    private async ValueTask CheckCopiedInL2Async(long l2, bool repairs)
    {
        bool dirty = false;
        for (int i = 0; i < image.L2Entries; i++)
        {
            ulong entry = L2Entry(i);
            long offset = (long)(entry & OffsetMask);
            if ((entry & Compressed) != 0 || offset == 0)
            {
                continue;
            }

            ulong? count = image.HasDataFile ? 1 : await _stored.GetAsync(offset >> image.ClusterBits, cancellationToken);
            if (count is null || (count == 1) == ((entry & Copied) != 0))
            {
                continue;
            }

            SayCopied($"data cluster: l2_entry={entry:x} refcount={count}", repairs);
            if (repairs)
            {
                BinaryPrimitives.WriteUInt64BigEndian(_l2.AsSpan(i * image.L2EntrySize), entry ^ Copied);
                dirty = true;
            }
        }

        if (dirty)
        {
            await _storage.WriteAsync(l2, _l2, cancellationToken);
        }
    }

    private void SayCopied(string what, bool repairs)
    {
        Say($"{(repairs ? "Repairing" : "ERROR")} OFLAG_COPIED {what}");
        _ = repairs ? _report.CorruptionsFixed++ : _report.Corruptions++;
    }
}
