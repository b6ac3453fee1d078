using System.Globalization;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// The snapshot table of an open image. A change writes a new table in free clusters, durably; then the header names it; then the
/// previous one is freed. Changed under the image's metadata mutex.
/// </summary>
internal sealed class SnapshotDirectory(
    IStorage storage, ImageHeader header, Allocator allocator, MetadataGuard guard, FlushOrder order,
    List<SnapshotEntry> entries)
{
    private readonly ClusterGeometry _geometry = header.Geometry;
    private volatile IReadOnlyList<SnapshotEntry> _entries = entries;

    /// <summary>The snapshots, in the order of the table.</summary>
    public IReadOnlyList<SnapshotEntry> Entries => _entries;

    /// <summary>An ID that no snapshot has: one above the highest number.</summary>
    public string NextId
    {
        get
        {
            ulong highest = _entries.Select(static e => ulong.TryParse(e.Id, CultureInfo.InvariantCulture, out ulong id) ? id : 0)
                .DefaultIfEmpty().Max();
            return (highest + 1).ToString(CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Registers the table and the L1 tables of the snapshots, so that nothing is written over them.</summary>
    public void Register()
    {
        guard.Map.SetRange(
            MetadataKind.SnapshotTable, new((long)header.Fields.SnapshotTableOffset),
            header.Fields.SnapshotCount == 0 ? 0 : SnapshotTable.SizeOf(_entries));
        foreach (var entry in _entries)
        {
            Set(entry.Header.L1TableOffset, entry.Header.L1Entries * 8L, MetadataKind.InactiveL1);
            if (SnapshotZones.Find(entry.Extra.Span, _geometry.ClusterSize) is { } zones)
            {
                Set(zones.Offset, zones.Bytes, MetadataKind.ZoneTable);
            }
        }
    }

    /// <summary>Registers the L2 tables of the snapshots too, where that is asked for.</summary>
    public async ValueTask RegisterL2Async()
    {
        foreach (var entry in guard.ChecksInactiveL2 ? _entries : [])
        {
            try
            {
                foreach (var table in SnapshotL1.TablesOf(await SnapshotL1.ReadAsync(storage, _geometry, entry)))
                {
                    if (guard.Map.Find(table, 1) == MetadataKind.None)
                    {
                        guard.Map.Set(_geometry.ClusterOf(table), MetadataKind.InactiveL2);
                    }
                }
            }
            catch (SnapshotL1Exception e)
            {
                guard.Blindness = e;
            }
            catch (BlockException)
            {
                // a corrupt snapshot has no tables to protect
            }
        }
    }

    /// <summary>Registers a table of a snapshot, or forgets it.</summary>
    public void Set(HostOffset offset, long bytes, MetadataKind kind)
    {
        long inFile = Math.Clamp(storage.Length - offset.Value, 0, bytes);
        for (long at = 0; at < inFile && offset.Value > 0; at += _geometry.ClusterSize)
        {
            guard.Map.Set(_geometry.ClusterOf(offset + at), kind);
        }
    }

    /// <summary>Replaces the table, durably. What its entries refer to has been written, durably or not.</summary>
    public ValueTask PutAsync(IReadOnlyList<SnapshotEntry> next)
        => PutAsync(next, header.Fields.SnapshotCount == 0 ? 0 : SnapshotTable.SizeOf(_entries));

    /// <summary>Replaces the table, durably.</summary>
    /// <param name="next">The entries.</param>
    /// <param name="oldBytes">Bytes that the present table takes.</param>
    public async ValueTask PutAsync(IReadOnlyList<SnapshotEntry> next, long oldBytes)
    {
        next = [.. next.Select(entry => entry.WithSizes(header.VirtualSize))];
        byte[] table = SnapshotTable.ToBytes(next);
        var old = new HostOffset((long)header.Fields.SnapshotTableOffset);
        var place = await PlaceAsync(table);
        try
        {
            // with lazy counts a flush leaves them for later: the image is marked dirty then
            await order.RunAsync();
            var offset = place.Count == 0 ? default : _geometry.OffsetOf(place.First);
            await header.PutAsync(header.Fields with { SnapshotCount = (uint)next.Count, SnapshotTableOffset = (ulong)offset.Value });
        }
        catch
        {
            if (place.Count > 0)
            {
                allocator.FreeLater(place);
            }

            throw;
        }

        _entries = next;
        Register();
        if (oldBytes > 0)
        {
            allocator.FreeLater(_geometry.ClustersOf(old, oldBytes));
        }
    }

    private async ValueTask<HostClusters> PlaceAsync(byte[] table)
    {
        if (table.Length == 0)
        {
            return default;
        }

        long count = _geometry.ClustersFor(table.Length);
        var place = new HostClusters((await allocator.AllocateAsync(count, "snapshot table")).First, count);
        try
        {
            await guard.CheckAsync(_geometry.OffsetOf(place.First), table.Length);
            await storage.WriteAsync(_geometry.OffsetOf(place.First).Value, table);
            return place;
        }
        catch
        {
            allocator.FreeLater(place);
            throw;
        }
    }
}
