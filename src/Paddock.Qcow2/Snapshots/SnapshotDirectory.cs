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
            SetL1(entry.Header.L1TableOffset, entry.Header.L1Entries, MetadataKind.InactiveL1);
        }
    }

    /// <summary>Registers the L1 table of a snapshot, or forgets it.</summary>
    public void SetL1(HostOffset offset, uint entries, MetadataKind kind)
    {
        long inFile = Math.Clamp(storage.Length - offset.Value, 0, entries * 8L);
        for (long at = 0; at < inFile && offset.Value > 0; at += _geometry.ClusterSize)
        {
            guard.Map.Set(_geometry.ClusterOf(offset + at), kind);
        }
    }

    /// <summary>Replaces the table, durably. What its entries refer to has been written, durably or not.</summary>
    public async ValueTask PutAsync(IReadOnlyList<SnapshotEntry> next)
    {
        next = [.. next.Select(entry => entry.WithSizes(header.VirtualSize))];
        byte[] table = SnapshotTable.ToBytes(next);
        var old = new HostOffset((long)header.Fields.SnapshotTableOffset);
        long oldBytes = header.Fields.SnapshotCount == 0 ? 0 : SnapshotTable.SizeOf(_entries);
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
