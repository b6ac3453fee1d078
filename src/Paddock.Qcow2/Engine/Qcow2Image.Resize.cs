using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// changing the virtual size: what growing and shrinking share
public sealed partial class Qcow2Image
{
    private PendingExtension? _pendingExtension;

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
        _sparse.Reset();
        if (length < Length)
        {
            await ShrinkAsync(length);
        }
        else
        {
            await GrowAsync(length, preallocation, cancellationToken);
        }
    }

    /// <summary>Refuses a size for which no L1 table can be long enough.</summary>
    internal void CheckSize(long length)
    {
        if (_geometry.L1EntriesFor(length) * 8 > Qcow2Limits.MaxL1Bytes)
        {
            throw new BlockException(BlockError.TooLarge, "The image size is too large (try using a larger cluster size)");
        }
    }

    /// <summary>Writes a table of the zoned device to a place where it fits: the old one, or new clusters.</summary>
    /// <returns>Where it is now.</returns>
    /// <param name="oldOffset">Where it was.</param>
    /// <param name="oldBytes">How long it was.</param>
    /// <param name="table">The table.</param>
    /// <param name="move">Whether the old one must stay as it is until the header names the new one.</param>
    internal async ValueTask<TablePlace> ReplaceTableAsync(long oldOffset, long oldBytes, byte[] table, bool move)
    {
        await _meta.AcquireAsync();
        try
        {
            long oldFirst = oldOffset >> _geometry.ClusterBits;
            long oldClusters = _geometry.ClustersFor(oldBytes), clusters = _geometry.ClustersFor(table.Length);
            if (clusters <= oldClusters && !move)
            {
                await _storage.WriteAsync(oldOffset, table);
                return new TablePlace(oldOffset, (oldFirst + clusters, oldClusters - clusters), default);
            }

            long first = (await _refcounts.AllocateAsync(clusters)).First, offset = first << _geometry.ClusterBits;
            try
            {
                await CheckOverlapAsync(offset, table.Length);
                await _storage.WriteAsync(offset, table);
            }
            catch
            {
                _refcounts.FreeLater(first, clusters);
                throw;
            }

            return new TablePlace(offset, (oldFirst, oldClusters), (first, clusters));
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Resizes, and changes a header extension in the same sector as the size: both or neither survive a crash.</summary>
    /// <param name="length">The new size.</param>
    /// <param name="preallocation">What is reserved for the new part.</param>
    /// <param name="extension">The extension; one of its type is there.</param>
    /// <param name="place">Of the table that it names.</param>
    /// <param name="named">
    /// Called under the metadata mutex as soon as the header has the new size and names the table: both stand from then on, whatever fails later.
    /// </param>
    /// <param name="cancellationToken">Ends it early.</param>
    internal async ValueTask ResizeWithExtensionAsync(
        long length, Preallocation preallocation, HeaderExtension extension, TablePlace place, Action named, CancellationToken cancellationToken)
    {
        _pendingExtension = new PendingExtension(extension, place, named);
        try
        {
            await ResizeAsync(length, preallocation, cancellationToken);
        }
        catch when (_pendingExtension is not null)
        {
            // the header was not reached: nothing names the new place, nor will
            _pendingExtension = null;
            await FreeLaterAsync(place.Fresh);
            throw;
        }

        await FlushAsync(cancellationToken);
    }

    private async ValueTask FreeLaterAsync((long First, long Count) clusters)
    {
        await _meta.AcquireAsync();
        if (clusters.Count > 0)
        {
            _refcounts.FreeLater(clusters.First, clusters.Count);
        }

        _meta.Release();
    }

    private async ValueTask WriteSizeAsync(long length)
    {
        var header = _header with { VirtualSize = (ulong)length };
        if (_pendingExtension is not { } pending)
        {
            await PutHeaderAsync(header);
            Length = length;
            return;
        }

        // should this write fail, the header may name either place until the old one is written again: no place is free
        _pendingExtension = null;
        var cluster = new byte[_geometry.ClusterSize];
        await _storage.ReadAsync(0, cluster);
        int at = (int)header.HeaderLength, index = 0;
        while (_extensions[index].Type != pending.Extension.Type)
        {
            at += _extensions[index++].TotalSize;
        }

        // as long as the old one when padded, so that what follows stays where it is
        int size = _extensions[index].TotalSize;
        cluster.AsSpan(at, size).Clear();
        pending.Extension.WriteTo(cluster.AsSpan(at, size));
        header.WriteTo(cluster);
        await _inPlace.WriteAsync(0, cluster.AsMemory(0, (at + size + 511) & ~511));
        _header = header;
        _extensions[index] = pending.Extension;
        Length = length;
        if (pending.Place.Freed is { Count: > 0 } freed)
        {
            _refcounts.FreeLater(freed.First, freed.Count);
        }

        pending.Named();
    }

    private async ValueTask SetSizeAsync(long length)
    {
        await _meta.AcquireAsync();
        try
        {
            await FlushLockedAsync();
            await WriteSizeAsync(length);
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
            await PutHeaderAsync(_header with { L1Offset = (ulong)offset, L1Entries = (uint)entries });
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

    /// <summary>Where a table of the zoned device is.</summary>
    /// <param name="Offset">In the image's file.</param>
    /// <param name="Freed">Clusters that nothing needs once the header names it.</param>
    /// <param name="Fresh">Clusters that nothing needs should the header never name it.</param>
    internal readonly record struct TablePlace(long Offset, (long First, long Count) Freed, (long First, long Count) Fresh);

    /// <summary>What the header gets together with its next size.</summary>
    private sealed record PendingExtension(HeaderExtension Extension, TablePlace Place, Action Named);
}
