using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Makes an image free of entries that read as zeroes by a mark, which version 2 does not have: without a backing file they become
/// unallocated, else clusters of zeroes. The disk first, then what only snapshots refer to.
/// </summary>
internal sealed class ZeroExpansion(
    IStorage storage, ImageHeader header, EngineLocks locks, L1Table active, ClusterMap map, DataLayer data, ClusterClearing clearing,
    ZeroWriter zeroes, Allocator allocator, Refcounts counts, FlushOrder order)
{
    private readonly ClusterGeometry _geometry = header.Geometry;
    private readonly bool _hasBacking = header.BackingName is not null;

    /// <summary>Expands everything; the changes are durable then.</summary>
    /// <param name="snapshots">The image's snapshots.</param>
    /// <param name="progress">Told of each L1 entry.</param>
    public async ValueTask RunAsync(IReadOnlyList<SnapshotEntry> snapshots, AmendProgress progress)
    {
        long entries = active.Count + snapshots.Sum(static s => (long)s.Header.L1Entries), done = 0;
        for (long i = 0; i < active.Count; i++)
        {
            await ExpandDiskAsync(_geometry.MappedBy(i), GuestOffset.Min(new(header.VirtualSize), _geometry.MappedBy(i + 1)));
            progress.Report(++done, entries);
        }

        await FlushAsync();
        var own = active.Tables.ToHashSet();
        var tables = new Dictionary<HostOffset, (int Count, GuestOffset Maps)>();
        foreach (var snapshot in snapshots)
        {
            SnapshotL1.Check(_geometry, snapshot);
            await CountTablesAsync(snapshot.Header, tables);
        }

        foreach (var (table, (references, maps)) in tables)
        {
            if (!own.Contains(table))
            {
                await ExpandTableAsync(table, references, maps);
            }
        }

        foreach (var snapshot in snapshots)
        {
            for (uint i = 0; i < snapshot.Header.L1Entries; i++)
            {
                progress.Report(++done, entries);
            }
        }
    }

    private async ValueTask ExpandDiskAsync(GuestOffset start, GuestOffset end)
    {
        while (start < end)
        {
            var mapping = await FindAsync(start, end - start);
            if (mapping.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated)
            {
                if (_hasBacking)
                {
                    await zeroes.WriteBytesAsync(start, mapping.Length, ZeroFlags.None, CancellationToken.None);
                }
                else
                {
                    await clearing.ClearAsync(start, _geometry.AlignUp(start + mapping.Length), Deallocation.Remove);
                }
            }

            start += mapping.Length;
        }
    }

    private async ValueTask<Mapping> FindAsync(GuestOffset start, long length)
    {
        var held = _geometry.ClustersOf(start, length);
        await locks.AcquireAsync(held, exclusive: false);
        try
        {
            return await map.FindAsync(start, length);
        }
        finally
        {
            locks.Release(held, exclusive: false);
        }
    }

    private async ValueTask FlushAsync()
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask CountTablesAsync(SnapshotHeader snapshot, Dictionary<HostOffset, (int Count, GuestOffset Maps)> tables)
    {
        var bytes = new byte[snapshot.L1Entries * 8L];
        await storage.ReadAsync(snapshot.L1TableOffset.Value, bytes);
        for (int i = 0; i < bytes.Length; i += 8)
        {
            var table = new HostOffset((long)(BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i)) & L2Entry.OffsetMask));
            if (table.IsNone)
            {
                continue;
            }

            tables[table] = _geometry.InCluster(table) == 0 && table.Value < storage.Length
                ? (tables.GetValueOrDefault(table).Count + 1, _geometry.MappedBy(i / 8))
                : throw new ImageCorruptException("L1 table", snapshot.L1TableOffset, $"L2 table offset {table} of a snapshot is invalid");
        }
    }

    /// <summary>
    /// Expands a table of snapshots, in place: what it refers to next is durable before it, what it referred to is freed after it.
    /// </summary>
    private async ValueTask ExpandTableAsync(HostOffset table, int references, GuestOffset maps)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            var bytes = new byte[_geometry.ClusterSize];
            await storage.ReadAsync(table.Value, bytes);
            var freed = new List<HostCluster>();
            bool changes = false;
            for (int i = 0; i < bytes.Length; i += 8)
            {
                var entry = new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i)));
                if (entry.Kind is not (ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated))
                {
                    continue;
                }

                if (!entry.Offset.IsNone)
                {
                    freed.Add(_geometry.ClusterOf(entry.Offset));
                }

                changes = true;
                var next = _hasBacking ? await NewZeroesAsync(references, maps + _geometry.BytesIn(i / 8)) : L2Entry.Unallocated;
                BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i), next.Raw);
            }

            if (!changes)
            {
                return;
            }

            order.RequireBarrier();
            await order.RunAsync();
            await storage.WriteAsync(table.Value, bytes);
            await storage.FlushAsync();
            foreach (var cluster in freed)
            {
                for (int i = 0; i < references; i++)
                {
                    allocator.FreeLater(new(cluster, 1));
                }
            }

            await order.RunAsync();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private async ValueTask<L2Entry> NewZeroesAsync(int references, GuestOffset guest)
    {
        var run = await allocator.AllocateAsync(1, "zero cluster");
        if (references > 1)
        {
            await counts.AddAsync(new(run.First, 1), references - 1);
        }

        var offset = _geometry.OffsetOf(run.First);
        await (data.IsEncrypted ? data.WriteAsync(offset, guest, new byte[_geometry.ClusterSize], CancellationToken.None)
            : data.ZeroAsync(offset, _geometry.ClusterSize, ZeroFlags.None));
        return references == 1 ? L2Entry.Normal(offset) : new L2Entry((ulong)offset.Value);
    }
}
