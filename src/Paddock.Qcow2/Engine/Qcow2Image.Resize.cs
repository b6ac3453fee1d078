using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// changing the virtual size, and reserving clusters ahead
public sealed partial class Qcow2Image
{
    private (uint Type, byte[] Data)? _pendingExtension;

    /// <inheritdoc/>
    public async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        if (length % 512 != 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "The new size must be a multiple of 512");
        }

        if (_header.SnapshotCount > 0 && _header.Version < 3)
        {
            throw new BlockException(BlockError.NotSupported, "Can't resize a version 2 image which has snapshots");
        }

        await StartWritingAsync();
        long old = Length;
        if (length < old)
        {
            await ShrinkAsync(length);
            return;
        }

        await GrowL1Async(_geometry.L1EntriesFor(length));
        await SetSizeAsync(length);
        if (Backing is not null && Backing.Length > old && length > old)
        {
            // what the longer backing image has there must not show
            await WriteZeroesAsync(old, Math.Min(length, Backing.Length) - old, ZeroFlags.MayUnmap, cancellationToken);
        }

        if (preallocation != Preallocation.Off)
        {
            await PreallocateAsync(old, length, preallocation);
        }

        await FlushAsync(cancellationToken);
    }

    /// <summary>Reserves a cluster for every guest cluster of a range that has none.</summary>
    internal async ValueTask PreallocateAsync(long start, long end, Preallocation preallocation)
    {
        await StartWritingAsync();
        long highest = 0;
        start = _geometry.AlignDown(start);
        while (start < end)
        {
            long pieceEnd = Math.Min(end, SliceEnd(start));
            long first = start >> _geometry.ClusterBits;
            long last = (pieceEnd - 1) >> _geometry.ClusterBits;
            await _ranges.AcquireAsync(first, last, exclusive: true);
            try
            {
                var map = await MapAsync(start, pieceEnd - start);
                if (map.Kind == ClusterKind.Unallocated)
                {
                    long count = _geometry.ClustersFor(map.Length);
                    var (cluster, knownZero) = await AllocateForAsync(start, count);
                    long host = cluster << _geometry.ClusterBits;
                    if (!knownZero)
                    {
                        await _storage.WriteZeroesAsync(host, count << _geometry.ClusterBits, ZeroFlags.None);
                    }

                    await LinkAsync(start, count, host);
                    highest = Math.Max(highest, host + (count << _geometry.ClusterBits));
                    start += count << _geometry.ClusterBits;
                }
                else
                {
                    start = _geometry.ClustersFor(start + map.Length) << _geometry.ClusterBits;
                }
            }
            finally
            {
                _ranges.Release(first, last, exclusive: true);
            }
        }

        if (highest > _storage.Length)
        {
            await _storage.SetLengthAsync(highest, preallocation);
        }
    }

    private async ValueTask ShrinkAsync(long length)
    {
        await SetWholeClustersAsync(
            _geometry.ClustersFor(length) << _geometry.ClusterBits, _geometry.ClustersFor(Length) << _geometry.ClusterBits, Deallocation.Remove);
        if (_geometry.InCluster(length) != 0)
        {
            // what is cut off must read as zeroes should the disk grow again
            await ZeroPartAsync(
                length, Math.Min(Length, _geometry.ClustersFor(length) << _geometry.ClusterBits) - length, ZeroFlags.None, CancellationToken.None);
        }

        await _meta.AcquireAsync();
        try
        {
            for (long i = _geometry.L1EntriesFor(length); i < _l1.Length; i++)
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

        await SetSizeAsync(length);
        await FlushAsync();
    }

    /// <summary>Writes a table of the zoned device to a place where it fits: the old one, or new clusters.</summary>
    /// <returns>Where it is now, and the old place's clusters if they are to be freed.</returns>
    /// <param name="oldOffset">Where it was.</param>
    /// <param name="oldBytes">How long it was.</param>
    /// <param name="table">The table.</param>
    /// <param name="move">Whether the old one must stay as it is until the header names the new one.</param>
    internal async ValueTask<(long Offset, (long First, long Count)? Freed)> ReplaceTableAsync(
        long oldOffset, long oldBytes, byte[] table, bool move)
    {
        await _meta.AcquireAsync();
        try
        {
            long oldFirst = oldOffset >> _geometry.ClusterBits;
            long oldClusters = _geometry.ClustersFor(oldBytes), clusters = _geometry.ClustersFor(table.Length);
            if (clusters <= oldClusters && !move)
            {
                await _storage.WriteAsync(oldOffset, table);
                return (oldOffset, clusters < oldClusters ? (oldFirst + clusters, oldClusters - clusters) : null);
            }

            long offset = (await _refcounts.AllocateAsync(clusters)).First << _geometry.ClusterBits;
            await CheckOverlapAsync(offset, table.Length);
            await _storage.WriteAsync(offset, table);
            return (offset, (oldFirst, oldClusters));
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Resizes, and changes a header extension in the same sector as the size: both or neither survive a crash.</summary>
    internal async ValueTask ResizeWithExtensionAsync(
        long length, Preallocation preallocation, uint type, byte[] data, (long First, long Count)? freed, CancellationToken cancellationToken)
    {
        _pendingExtension = (type, data);
        await ResizeAsync(length, preallocation, cancellationToken);
        if (freed is var (first, count))
        {
            _refcounts.FreeLater(first, count);
        }

        await FlushAsync(cancellationToken);
    }

    private async ValueTask WriteSizeAsync(long length)
    {
        var header = _header with { VirtualSize = (ulong)length };
        if (_pendingExtension is not var (type, data))
        {
            await WriteHeaderAsync(header);
            return;
        }

        _pendingExtension = null;
        var cluster = new byte[_geometry.ClusterSize];
        await _storage.ReadAsync(0, cluster);
        int at = (int)header.HeaderLength;
        for (int i = 0; i < _extensions.Count; i++)
        {
            int size = _extensions[i].TotalSize;
            if (_extensions[i].Type == type)
            {
                // as long as the old one when padded, so that what follows stays where it is
                _extensions[i] = new HeaderExtension(type, data);
                cluster.AsSpan(at, size).Clear();
                _extensions[i].WriteTo(cluster.AsSpan(at, size));
                at += size;
                break;
            }

            at += size;
        }

        header.WriteTo(cluster);
        await _storage.WriteAsync(0, cluster.AsMemory(0, (at + 511) & ~511));
        _header = header;
    }

    private async ValueTask SetSizeAsync(long length)
    {
        await _meta.AcquireAsync();
        try
        {
            await FlushLockedAsync();
            await WriteSizeAsync(length);
            Length = length;
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Moves the L1 table to a larger place: the new one is durable before the header names it.</summary>
    private async ValueTask GrowL1Async(long entries)
    {
        if (entries <= _l1.Length)
        {
            return;
        }

        if (entries * 8 > Qcow2Limits.MaxL1Bytes)
        {
            throw new BlockException(BlockError.TooLarge, "The image size is too large (try using a larger cluster size)");
        }

        await _meta.AcquireAsync();
        try
        {
            await _storage.OnEventAsync("l1_grow_alloc_table");
            var (cluster, _) = await _refcounts.AllocateAsync(Math.Max(1, _geometry.ClustersFor(entries * 8)));
            long offset = cluster << _geometry.ClusterBits;
            var grown = new ulong[entries];
            _l1.CopyTo(grown, 0);
            var bytes = new byte[entries * 8];
            for (int i = 0; i < grown.Length; i++)
            {
                BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), grown[i]);
            }

            await FlushLockedAsync();
            await _storage.OnEventAsync("l1_grow_write_table");
            await _storage.WriteAsync(offset, bytes);
            await _storage.FlushAsync();
            var (oldOffset, oldBytes) = ((long)_header.L1Offset, (long)_header.L1Entries * 8);
            await _storage.OnEventAsync("l1_grow_activate_table");
            await WriteHeaderAsync(_header with { L1Offset = (ulong)offset, L1Entries = (uint)entries });
            await _storage.FlushAsync();
            Volatile.Write(ref _l1, grown);
            RegisterFixedMetadata();
            if (oldBytes > 0)
            {
                _refcounts.FreeLater(oldOffset >> _geometry.ClusterBits, _geometry.ClustersFor(oldBytes));
            }
        }
        finally
        {
            _meta.Release();
        }
    }
}
