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
    /// The pointer that hides none of a zone's data: the end of its last allocated cluster, or the zone's start. The cluster may hold
    /// less than it has room for; the rest reads as zeroes.
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
            else if (IsMapped(cluster))
            {
                long pointer = Math.Min((cluster + 1) << _image.ClusterBits, end);
                return pointer >= end ? start + _zones.ZoneSize : pointer;
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
        if (!await LoadL2Async(cluster / _image.L2Entries, cancellationToken) || !IsMapped(cluster))
        {
            context.Print($"Note: zone {zone}: write pointer 0x{pointer:x}, " +
                "but nothing is mapped just below it: data lost in a crash reads as zeroes");
        }
    }

    private long EndOfCapacity(long zone) => Math.Min(_zones.Start(zone) + _zones.Capacity, _image.VirtualSize);

    private bool IsMapped(long cluster) => (context.Tables.L2Entry((int)(cluster % _image.L2Entries)) & MapsSomething) != 0;

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
