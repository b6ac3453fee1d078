using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Writes that need new subclusters, in images with extended L2 entries: only the subclusters that a write touches are stored, and
/// copied, whatever the size of a cluster.
/// </summary>
internal sealed class SubclusterWriter(
    ClusterGeometry geometry, EngineLocks locks, ClusterMap map, NewClusters clusters, DataLayer data, CopyOnWrite copies)
{
    /// <summary>
    /// Stores the beginning of a range in clusters that are the image's own, in subclusters that are not stored yet. The caller holds
    /// the clusters shared: their other subclusters are read, written and stored meanwhile.
    /// </summary>
    /// <returns>Bytes written; 0 if the clusters are not the image's own.</returns>
    public async ValueTask<int> FillAsync(GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        long first = offset.Value >> geometry.SubclusterBits, last = (offset.Value + bytes.Length - 1) >> geometry.SubclusterBits;
        await locks.Subclusters.AcquireAsync(first, last, exclusive: true);
        try
        {
            // another write may have stored them by now
            var mapping = await map.FindAsync(offset, Math.Min(bytes.Length, map.SliceEnd(offset) - offset), writes: true);
            bytes = bytes[..(int)mapping.Length];
            if (mapping.Writable)
            {
                await data.WriteAsync(mapping.Host, offset, bytes, cancellationToken);
                return bytes.Length;
            }

            if (!mapping.HasOwnCluster)
            {
                return 0;
            }

            await copies.WriteAsync(mapping, offset, bytes, geometry.SubclusterSize, mapping.Host, knownZero: false, cancellationToken);
            await clusters.MapSubclustersAsync(offset, bytes.Length, mapping.Host);
            return bytes.Length;
        }
        finally
        {
            locks.Subclusters.Release(first, last, exclusive: true);
        }
    }

    /// <summary>
    /// Writes the beginning of a range whose clusters must be allocated or replaced. The caller holds the clusters exclusively.
    /// </summary>
    /// <param name="mapping">How the guest has it now.</param>
    /// <param name="offset">Where it starts; the range and the mapping end in the same slice of an L2 table.</param>
    /// <param name="bytes">The data.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <returns>Bytes written.</returns>
    public ValueTask<int> WriteAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (mapping is { HasCluster: false, Kind: not ClusterKind.Compressed })
        {
            return AllocateAsync(mapping, offset, bytes, cancellationToken);
        }

        long whole = bytes.Length & -geometry.ClusterSize;
        return geometry.InCluster(offset) == 0 && whole > 0
            ? AllocateAsync(mapping, offset, bytes[..(int)whole], cancellationToken)
            : ReplaceAsync(
                mapping, offset, bytes[..Math.Min(bytes.Length, geometry.ClusterSize - geometry.InCluster(offset))], cancellationToken);
    }

    /// <summary>Stores subclusters in new clusters that have no other data.</summary>
    private async ValueTask<int> AllocateAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var start = geometry.AlignDown(offset);
        long count = geometry.ClustersFor(offset + bytes.Length - start);
        var run = await clusters.AllocateAsync(start, count);
        if (run.Count < count)
        {
            bytes = bytes[..(int)(start + geometry.BytesIn(run.Count) - offset)];
        }

        try
        {
            var host = geometry.OffsetOf(run.First) + (offset - start);
            await copies.WriteAsync(mapping, offset, bytes, geometry.SubclusterSize, host, run.KnownZero, cancellationToken);
            await clusters.MapSubclustersAsync(offset, bytes.Length, host);
            return bytes.Length;
        }
        catch
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }

    /// <summary>
    /// Moves a cluster that is compressed or that a snapshot shares to a new one: with all that the old one stores. As in QEMU one run of
    /// subclusters is copied, from the first to the last that is stored or written, and nothing before or after it.
    /// </summary>
    private async ValueTask<int> ReplaceAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var start = geometry.AlignDown(offset);
        var run = await clusters.AllocateAsync(start, 1);
        try
        {
            var target = geometry.OffsetOf(run.First);
            var host = target + (offset - start);
            if (mapping.Kind == ClusterKind.Compressed)
            {
                await copies.WriteAsync(mapping, offset, bytes, geometry.ClusterSize, host, knownZero: false, cancellationToken);
                await clusters.MapSubclustersAsync(start, geometry.ClusterSize, target);
                return bytes.Length;
            }

            var (first, end) = await StoredAsync(start);
            first = GuestOffset.Min(first, geometry.SubclusterDown(offset));
            var tail = geometry.SubclusterUp(offset + bytes.Length);
            end = end > tail ? end : tail;
            await CopyAsync(first, geometry.SubclusterDown(offset), target + (first - start), cancellationToken);
            await CopyAsync(tail, end, target + (tail - start), cancellationToken);
            await copies.WriteAsync(mapping, offset, bytes, geometry.SubclusterSize, host, knownZero: false, cancellationToken);
            await clusters.MapSubclustersAsync(first, end - first, target + (first - start));
            return bytes.Length;
        }
        catch
        {
            await clusters.FreeAsync(run);
            throw;
        }
    }

    /// <summary>From the first stored subcluster of a cluster to the end of the last; empty, and at its end, without any.</summary>
    private async ValueTask<(GuestOffset First, GuestOffset End)> StoredAsync(GuestOffset start)
    {
        var end = start + geometry.ClusterSize;
        var (first, last) = (end, start);
        while (start < end)
        {
            var mapping = await map.FindAsync(start, end - start);
            if (mapping.Kind == ClusterKind.Normal)
            {
                first = GuestOffset.Min(first, start);
                last = start + mapping.Length;
            }

            start += mapping.Length;
        }

        return (first, last);
    }

    private async ValueTask CopyAsync(GuestOffset start, GuestOffset end, HostOffset target, CancellationToken cancellationToken)
    {
        while (start < end)
        {
            var mapping = await map.FindAsync(start, end - start);
            await copies.CopyAsync(mapping, start, target, cancellationToken);
            start += mapping.Length;
            target += mapping.Length;
        }
    }
}
