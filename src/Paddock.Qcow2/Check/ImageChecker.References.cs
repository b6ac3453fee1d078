using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Check;

/// <summary>Counting: the header, L1 and L2 tables, snapshots, refcount structures, bitmaps, zone table.</summary>
internal sealed partial class ImageChecker
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong L1Reserved = 0x7f00_0000_0000_01ff;
    private const ulong L2Reserved = 0x3f00_0000_0000_01fe;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const ulong ZeroFlag = 1;

    /// <summary>Bytes of L1 tables that one check reads: 1024 snapshots of 512 GiB at 64 KiB clusters take 64 MiB.</summary>
    private const long MaxL1BytesRead = 4L << 30;

    /// <summary>Times that a broken L2 table is walked again for each of its further uses, to print its lines as often as QEMU does.</summary>
    private const int MaxBrokenWalks = 1024;

    private readonly Dictionary<long, L2Summary> _walked = [];
    private long _l1BytesRead;
    private int _brokenWalks;
    private byte[] _l2 = [];

    private async ValueTask CountReferencesAsync(bool fix)
    {
        _references.Clear();
        _walked.Clear();
        _l1BytesRead = 0;
        _l2 = new byte[image.ClusterSize];
        Reference(0, image.ClusterSize);
        await CountL1Async(image.L1Offset, image.L1Entries, true, fix);
        foreach (var snapshot in image.Snapshots)
        {
            await CountSnapshotAsync(snapshot, fix);
        }

        Reference(image.SnapshotTableOffset, image.SnapshotTableBytes);
        Reference(image.RefcountTableOffset, (long)image.RefcountTableClusters << image.ClusterBits);
        await CountBitmapsAsync();
        CountZoneTable();
        await CountAttributesAsync(fix);
        await CountSharedTablesAsync();
        await CountRefcountBlocksAsync(fix);
    }

    /// <summary>Counts <paramref name="times"/> references to each cluster of a region.</summary>
    private void Reference(long offset, long bytes, long times = 1)
    {
        if (bytes <= 0)
        {
            return;
        }

        if (offset < 0 || offset > _fileLength - bytes + image.ClusterSize - 1)
        {
            SayCorruption("ERROR: counting reference for region exceeding the end of the file by one cluster or more: " +
                $"offset 0x{offset:x} size 0x{bytes:x}");
            return;
        }

        long last = (offset + bytes - 1) >> image.ClusterBits;
        for (long cluster = offset >> image.ClusterBits; cluster <= last; cluster++)
        {
            ulong count = _references[cluster];
            if ((ulong)times > image.RefcountMax - count)
            {
                SayCorruption($"ERROR: overflow cluster offset=0x{cluster << image.ClusterBits:x}");
                Say("Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy " +
                    "if the image cannot be opened for writing");
                _references[cluster] = image.RefcountMax;
                continue;
            }

            _references[cluster] = count + (ulong)times;
            _clusters = Math.Max(_clusters, cluster + 1);
        }
    }

    private async ValueTask CountSnapshotAsync(CheckedSnapshot snapshot, bool fix)
    {
        if ((snapshot.L1Offset & (image.ClusterSize - 1)) != 0)
        {
            SayCorruption($"ERROR snapshot {snapshot.Id} ({snapshot.Name}) l1_offset=0x{snapshot.L1Offset:x}: " +
                "L1 table is not cluster aligned; snapshot table entry corrupted");
        }
        else if (snapshot.L1Entries > CheckedImage.MaxL1Bytes / 8)
        {
            SayCorruption($"ERROR snapshot {snapshot.Id} ({snapshot.Name}) l1_size=0x{snapshot.L1Entries:x}: " +
                "L1 table is too large; snapshot table entry corrupted");
        }
        else
        {
            await CountL1Async(snapshot.L1Offset, snapshot.L1Entries, false, fix);
        }
    }

    private async ValueTask<byte[]> ReadL1Async(long offset, uint entries)
    {
        var table = new byte[entries * 8L];
        _l1BytesRead += table.Length;
        if (_l1BytesRead > MaxL1BytesRead)
        {
            throw new BlockException(BlockError.TooLarge, $"the L1 tables of all snapshots take more than {MaxL1BytesRead >> 30} GiB");
        }

        if (offset >= 0 && offset < _storage.Length)
        {
            await _storage.ReadAsync(offset, table, cancellationToken);
        }

        return table;
    }

    private async ValueTask CountL1Async(long offset, uint entries, bool active, bool fix)
    {
        Reference(offset, entries * 8L);
        var table = await ReadL1Async(offset, entries);
        for (int i = 0; i < entries; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i * 8));
            if (entry == 0)
            {
                continue;
            }

            cancellationToken.ThrowIfCancellationRequested();
            if ((entry & L1Reserved) != 0)
            {
                SayCorruption($"ERROR found L1 entry with reserved bits set: {entry:x}");
            }

            long l2 = (long)(entry & OffsetMask);
            if (!TryReuseWalk(l2, active))
            {
                Reference(l2, image.ClusterSize);
                if ((l2 & (image.ClusterSize - 1)) != 0)
                {
                    SayCorruption($"ERROR l2_offset={l2:x}: Table is not cluster aligned; L1 entry corrupted");
                }

                await CountL2Async(l2, active, fix);
            }

            if (active)
            {
                progress?.Invoke(0.05 + (0.6 * (i + 1) / entries));
            }
        }
    }

    /// <summary>
    /// A table that was sound when it was walked need not be walked for each snapshot that shares it: its clusters are counted once more
    /// at the end, by the number of its uses. Without this, 4 million L1 entries on one table would take days.
    /// </summary>
    private bool TryReuseWalk(long l2, bool active)
    {
        if (!_walked.TryGetValue(l2, out var summary) || (summary.Broken && _brokenWalks++ < MaxBrokenWalks))
        {
            return false;
        }

        summary.FurtherUses++;
        if (active)
        {
            AddCounts(summary.Allocated, summary.Fragmented, summary.CompressedClusters);
        }

        return true;
    }

    private void AddCounts(long allocated, long fragmented, long compressed)
    {
        _report.AllocatedClusters += allocated;
        _report.FragmentedClusters += fragmented;
        _report.CompressedClusters += compressed;
    }

    private async ValueTask CountSharedTablesAsync()
    {
        foreach (var (l2, summary) in _walked)
        {
            if (summary.FurtherUses == 0)
            {
                continue;
            }

            Reference(l2, image.ClusterSize, summary.FurtherUses);
            if (summary.Allocated == 0 || !await LoadL2Async(l2))
            {
                continue;
            }

            for (int i = 0; i < image.L2Entries; i++)
            {
                var (offset, bytes) = Target(L2Entry(i));
                if (offset != 0 && !(image.HasDataFile && (L2Entry(i) & Compressed) == 0))
                {
                    Reference(offset, bytes, summary.FurtherUses);
                }
            }
        }
    }

    private ulong L2Entry(int index) => BinaryPrimitives.ReadUInt64BigEndian(_l2.AsSpan(index * image.L2EntrySize));

    /// <summary>Where an entry's bytes lie; offset 0: nowhere.</summary>
    private (long Offset, long Bytes) Target(ulong entry)
    {
        if ((entry & Compressed) == 0)
        {
            return ((long)(entry & OffsetMask), image.ClusterSize);
        }

        int sectorShift = 62 - (image.ClusterBits - 8);
        long offset = (long)(entry & ((1UL << sectorShift) - 1)) & ((1L << 56) - 1);
        long sectors = (long)((entry & (Compressed - 1)) >> sectorShift) + 1;
        return (offset & ~511L, sectors * 512);
    }

    private async ValueTask<bool> LoadL2Async(long offset)
    {
        if (offset >= _storage.Length)
        {
            return false;
        }

        var status = await _storage.GetStatusAsync(offset, Math.Min(image.ClusterSize, _storage.Length - offset), cancellationToken);
        if ((status.Flags & BlockStatusFlags.Zero) != 0 && status.Length >= Math.Min(image.ClusterSize, _storage.Length - offset))
        {
            return false;
        }

        await _storage.ReadAsync(offset, _l2, cancellationToken);
        return true;
    }

    /// <summary>What the walk of one L2 table found.</summary>
    private sealed class L2Summary
    {
        public bool Broken { get; set; }

        public long FurtherUses { get; set; }

        public long Allocated { get; set; }

        public long Fragmented { get; set; }

        public long CompressedClusters { get; set; }

        public long NextContiguous { get; set; }
    }
}
