using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>
/// Reads and writes the bits and the table of a bitmap. What is written goes into free clusters, so that the bitmap on the storage stays
/// whole until the directory names the new one. Under the image's metadata mutex.
/// </summary>
internal sealed class BitmapData(IStorage storage, ImageHeader header, Allocator allocator, MetadataGuard guard)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Reads a bitmap that is on the storage.</summary>
    /// <exception cref="ImageCorruptException">Its table is invalid.</exception>
    public async ValueTask LoadAsync(PersistentBitmap bitmap, CancellationToken cancellationToken)
    {
        var stored = bitmap.Stored!;
        var table = await BitmapTable.ReadAsync(storage, stored, _geometry, cancellationToken);
        var bits = new DirtyBits(header.VirtualSize, stored.GranularityBits);
        int size = _geometry.ClusterSize;
        if (table.Length != _geometry.ClustersFor(DirtyBits.BytesFor(header.VirtualSize, stored.GranularityBits)))
        {
            throw new ImageCorruptException("bitmap table", stored.Table, $"{table.Length} entries do not fit the disk's size");
        }

        var buffer = ArrayPool<byte>.Shared.Rent(size);
        try
        {
            for (int i = 0; i < table.Length; i++)
            {
                if (table[i] == BitmapTable.AllOnes)
                {
                    bits.LoadOnes(_geometry.BytesIn(i), size);
                }
                else if (table[i] != BitmapTable.AllZeroes)
                {
                    await storage.ReadAsync(BitmapTable.OffsetOf(table[i]).Value, buffer.AsMemory(0, size), cancellationToken);
                    bits.Load(_geometry.BytesIn(i), buffer.AsSpan(0, size));
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        bitmap.Loaded(bits, table);
    }

    /// <summary>Writes the clusters of bits that have changed, and the table. Nothing names it yet.</summary>
    /// <param name="bitmap">The bitmap.</param>
    /// <param name="always">Whether the clusters and the table are written even if they have not changed.</param>
    /// <returns>The new table, and what is free once it is named; null where the stored one is still right.</returns>
    public async ValueTask<NextTable?> WriteAsync(PersistentBitmap bitmap, bool always)
    {
        if (bitmap.Bits is not { } bits)
        {
            return null;
        }

        int size = _geometry.ClusterSize;
        var entries = new ulong[_geometry.ClustersFor(DirtyBits.BytesFor(bits.Length, bitmap.GranularityBits))];
        bool changed = always || bitmap.Stored is null || entries.Length != bitmap.Table.Length;
        var next = new NextTable(entries);
        var buffer = ArrayPool<byte>.Shared.Rent(size);
        try
        {
            for (int i = 0; i < entries.Length; i++)
            {
                if (!always && i < bitmap.Table.Length && !bits.HasChanged(_geometry.BytesIn(i), size))
                {
                    entries[i] = bitmap.Table[i];
                    continue;
                }

                changed = true;
                entries[i] = await WriteClusterAsync(bits, i, buffer.AsMemory(0, size), next);
            }

            if (!changed)
            {
                return null;
            }

            next.Offset = await PlaceAsync(BitmapTable.Build(entries), next);
        }
        catch (BlockException e)
        {
            Free(next.Fresh);
            throw Failure($"Failed to write bitmap '{bitmap.Name}' to file", e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        ListReplaced(bitmap, next);
        return next;
    }

    /// <summary>A failure to store bitmaps, as QEMU describes it.</summary>
    /// <param name="what">What has failed.</param>
    /// <param name="cause">Why.</param>
    public static BlockException Failure(string what, BlockException cause)
        => new(cause.Error, $"{what}: {(cause.Error == BlockError.NoSpace ? "No space left on device" : cause.Message)}", cause)
        {
            Errno = cause.Errno,
        };

    /// <summary>Frees clusters once what referred to them is durably gone.</summary>
    public void Free(List<HostClusters> clusters) => clusters.ForEach(allocator.FreeLater);

    /// <summary>The clusters of a bitmap that is on the storage; those that are known, where its table cannot be read.</summary>
    public async ValueTask<List<HostClusters>> ClustersOfAsync(BitmapEntry stored, CancellationToken cancellationToken)
    {
        try
        {
            var table = await BitmapTable.ReadAsync(storage, stored, _geometry, cancellationToken);
            var list = table.Select(BitmapTable.OffsetOf).Where(static offset => !offset.IsNone)
                .Select(offset => new HostClusters(_geometry.ClusterOf(offset), 1)).ToList();
            list.Add(_geometry.ClustersOf(stored.Table, (long)stored.TableEntries * BitmapTable.EntrySize));
            return list;
        }
        catch (ImageCorruptException)
        {
            // it may name anything: its clusters leak, and a check finds them
            return [];
        }
    }

    /// <summary>Writes a table or a directory into free clusters.</summary>
    public async ValueTask<HostOffset> PlaceAsync(byte[] bytes, NextTable next)
    {
        var run = await allocator.AllocateAsync(_geometry.ClustersFor(bytes.Length), "bitmap");
        next.Fresh.Add(new(run.First, run.Count));
        var offset = _geometry.OffsetOf(run.First);
        await guard.CheckAsync(offset, bytes.Length);
        await storage.WriteAsync(offset.Value, bytes);
        return offset;
    }

    private async ValueTask<ulong> WriteClusterAsync(DirtyBits bits, int index, Memory<byte> buffer, NextTable next)
    {
        switch (bits.CopyTo(_geometry.BytesIn(index), buffer.Span))
        {
            case BitRange.Zeroes:
                return BitmapTable.AllZeroes;
            case BitRange.Ones:
                return BitmapTable.AllOnes;
        }

        var run = await allocator.AllocateAsync(1, "bitmap");
        next.Fresh.Add(new(run.First, 1));
        var offset = _geometry.OffsetOf(run.First);
        await guard.CheckAsync(offset, buffer.Length);
        await storage.WriteAsync(offset.Value, buffer);
        return (ulong)offset.Value;
    }

    private void ListReplaced(PersistentBitmap bitmap, NextTable next)
    {
        for (int i = 0; i < bitmap.Table.Length; i++)
        {
            var old = BitmapTable.OffsetOf(bitmap.Table[i]);
            if (!old.IsNone && (i >= next.Entries.Length || next.Entries[i] != bitmap.Table[i]))
            {
                next.Replaced.Add(new(_geometry.ClusterOf(old), 1));
            }
        }

        if (bitmap.Stored is { } stored)
        {
            next.Replaced.Add(_geometry.ClustersOf(stored.Table, (long)stored.TableEntries * BitmapTable.EntrySize));
        }
    }
}

/// <summary>A table that was written and that the directory does not name yet.</summary>
/// <param name="entries">Its entries.</param>
internal sealed class NextTable(ulong[] entries)
{
    public ulong[] Entries => entries;

    /// <summary>Offset in bytes.</summary>
    public HostOffset Offset { get; set; }

    /// <summary>Clusters to free should the directory never name it.</summary>
    public List<HostClusters> Fresh { get; } = [];

    /// <summary>Clusters to free once the directory names it.</summary>
    public List<HostClusters> Replaced { get; } = [];
}
