using System.Numerics;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Checks the table of write pointers (zoned-qcow2.md 1.3) and compares it with what is mapped. Its lines are Paddock's own.
/// </summary>
internal sealed class ZonePointersPass(CheckContext context) : ICheckPass
{
    private const ulong MapsSomething = EntryBits.OffsetMask | EntryBits.Compressed | EntryBits.ZeroFlag;

    private readonly CheckedImage _image = context.Image;
    private CheckedZones _zones = null!;
    private byte[]? _l1;
    private HostOffset? _l2;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (context.Zones is not { } zones)
        {
            return;
        }

        var table = new byte[zones.TableBytes];
        await context.Storage.ReadAsync(zones.TableOffset.Value, table, cancellationToken);
        _zones = zones.InOrderOf(table);
        for (long zone = 0; zone < _zones.Count; zone++)
        {
            ulong entry = _zones.Entry(table, zone);
            if (!_zones.IsValid(entry, zone))
            {
                await RepairAsync(zone, entry, cancellationToken);
            }
            else if (zone >= _zones.Conventional)
            {
                await CompareWithDataAsync(zone, (long)entry, cancellationToken);
            }
        }
    }

    private async ValueTask RepairAsync(long zone, ulong entry, CancellationToken cancellationToken)
    {
        long start = _zones.Start(zone);
        string limits = zone < _zones.Conventional
            ? $"a conventional zone has 0x{(ulong)start | _zones.Flag:x}"
            : $"whole sectors from 0x{start:x} to 0x{start + _zones.ZoneSize:x} are valid";
        if (!context.FixesErrors)
        {
            context.ReportRepair($"zone {zone}: write pointer entry 0x{entry:x}: {limits}", repairs: false);
            return;
        }

        ulong repaired = zone < _zones.Conventional
            ? (ulong)start | _zones.Flag
            : (ulong)await PointerFromDataAsync(zone, cancellationToken);
        context.ReportRepair($"zone {zone}: write pointer entry 0x{entry:x}: {limits}; now 0x{repaired:x}", repairs: true);
        var bytes = new byte[8];
        _zones.Put(bytes, repaired);
        await context.Storage.WriteAsync(_zones.TableOffset.Value + (zone * 8), bytes, cancellationToken);
    }

    /// <summary>
    /// The pointer that hides none of a zone's data: the end of its last allocated cluster or subcluster, or the zone's start. That may
    /// hold less than it has room for; the rest reads as zeroes.
    /// </summary>
    private async ValueTask<long> PointerFromDataAsync(long zone, CancellationToken cancellationToken)
    {
        long start = _zones.Start(zone);
        long end = EndOfCapacity(zone);
        for (long cluster = (end - 1) >> _image.ClusterBits; cluster << _image.ClusterBits > start - _image.ClusterSize; cluster--)
        {
            if (!await LoadL2Async(cluster / _image.L2Entries, cancellationToken))
            {
                cluster = cluster / _image.L2Entries * _image.L2Entries;
            }
            else if (MappedBytes(cluster) is > 0 and long bytes)
            {
                // what the zone before has in the same cluster is not this zone's
                long pointer = Math.Min((cluster << _image.ClusterBits) + bytes, end);
                return pointer >= end ? start + _zones.ZoneSize : Math.Max(pointer, start);
            }
        }

        return start;
    }

    /// <summary>Reports a pointer with nothing mapped below it, as a crash of the proposal's code leaves it.</summary>
    private async ValueTask CompareWithDataAsync(long zone, long pointer, CancellationToken cancellationToken)
    {
        if (pointer == _zones.Start(zone) || pointer >= EndOfCapacity(zone) || _image.HasBackingFile)
        {
            return;
        }

        long cluster = (pointer - 1) >> _image.ClusterBits;
        if (!await LoadL2Async(cluster / _image.L2Entries, cancellationToken) || !IsMapped(pointer - 1))
        {
            context.Print($"Note: zone {zone}: write pointer 0x{pointer:x}, " +
                "but nothing is mapped just below it: data lost in a crash reads as zeroes");
        }
    }

    private long EndOfCapacity(long zone) => Math.Min(_zones.Start(zone) + _zones.Capacity, _image.VirtualSize);

    /// <summary>Bytes of a cluster up to the end of its last subcluster that is mapped; without subclusters, all or none.</summary>
    private long MappedBytes(long cluster)
        => MappedParts(cluster) is > 0 and var parts ? (64L - BitOperations.LeadingZeroCount(parts)) << PartBits : 0;

    private bool IsMapped(long offset)
        => (MappedParts(offset >> _image.ClusterBits) >> (int)((offset & (_image.ClusterSize - 1)) >> PartBits) & 1) != 0;

    private int PartBits => _image.HasExtendedL2 ? _image.ClusterBits - 5 : _image.ClusterBits;

    // a bit for each subcluster, or one for the cluster
    private ulong MappedParts(long cluster)
    {
        int index = (int)(cluster % _image.L2Entries);
        ulong entry = context.Tables.L2Entry(index), subclusters = context.Tables.Subclusters(index);
        return !_image.HasExtendedL2 ? (entry & MapsSomething) != 0 ? 1UL : 0
            : (entry & EntryBits.Compressed) != 0 ? uint.MaxValue
            : (subclusters | (subclusters >> 32)) & uint.MaxValue;
    }

    private async ValueTask<bool> LoadL2Async(long l1Index, CancellationToken cancellationToken)
    {
        _l1 ??= await context.Tables.ReadL1Async(_image.L1Offset, _image.L1Entries, cancellationToken);
        var l2 = EntryBits.OffsetOf(CheckedTables.Entry(_l1, l1Index));
        if (l2.Value == 0)
        {
            return false;
        }

        if (l2 == _l2)
        {
            return true;
        }

        _l2 = null;
        if (!await context.Tables.LoadL2Async(l2, cancellationToken))
        {
            return false;
        }

        _l2 = l2;
        return true;
    }
}
