using System.Buffers.Binary;

namespace Paddock.Qcow2.Check;

/// <summary>The zoned part (zoned-qcow2.md 1.1 to 1.4). Its lines are ours: QEMU has no such check.</summary>
internal sealed partial class ImageChecker
{
    private const ulong ZonedBit = 1UL << 5;
    private const uint PaddockExtension = 0x5044434b;

    private CheckedZones? _zones;
    private string? _zoneProblem;
    private byte[]? _zoneL1;
    private long _zoneL2 = -1;

    /// <summary>
    /// Tables that stand in an extension whose layout the checker does not know look like leaks: none is freed while one may be there.
    /// </summary>
    private bool HasTablesOfUnknownLayout
        => (image.Extensions.TryGetValue(PaddockExtension, out var data) && !CheckedConditions.IsKnown(data, image.ClusterSize))
            || (_zoneProblem is not null && _zones is null);

    private void CountZoneTable()
    {
        _zones = null;
        _zoneProblem = null;
        if (image.Extensions.TryGetValue(CheckedZones.ExtensionType, out var data) && !(data.Length > 0 && data[0] == 0))
        {
            _zones = CheckedZones.Read(data, image, _fileLength, out _zoneProblem);
            if (_zones is not null)
            {
                _zoneProblem = null;
                Reference(_zones.TableOffset, _zones.TableBytes);
            }
        }
    }

    private async ValueTask CheckZonesAsync()
    {
        if (_zoneProblem is not null)
        {
            SayCorruption($"ERROR zoned extension {_zoneProblem}; leaked clusters are kept, since the zone table may be among them");
        }

        await CheckZonedBitAsync();
        if (_zones is null)
        {
            return;
        }

        var table = new byte[_zones.TableBytes];
        await _storage.ReadAsync(_zones.TableOffset, table, cancellationToken);
        _zones = _zones.InOrderOf(table);
        _zoneL1 = null;
        _zoneL2 = -1;
        for (long zone = 0; zone < _zones.Count; zone++)
        {
            ulong entry = _zones.Entry(table, zone);
            if (!_zones.IsValid(entry, zone))
            {
                await MendZoneAsync(zone, entry);
            }
            else if (zone >= _zones.Conventional)
            {
                await CompareWithDataAsync(zone, (long)entry);
            }
        }
    }

    private async ValueTask CheckZonedBitAsync()
    {
        bool isSet = (image.Incompatible & ZonedBit) != 0;
        bool wanted = _zones is not null;
        if (wanted && !image.IsVersion3)
        {
            SayCorruption("ERROR zoned extension in a version 2 image; zoned images are version 3");
            return;
        }

        if (isSet == wanted || _zoneProblem is not null)
        {
            return;
        }

        Say($"{(FixErrors ? "Repairing" : "ERROR")} incompatible feature bit 5 (zoned format) is {(isSet ? "set" : "clear")}, " +
            $"but the image has {(wanted ? "a" : "no")} zoned extension");
        if (FixErrors)
        {
            await WriteIncompatibleAsync(image.Incompatible ^ ZonedBit);
            _report.CorruptionsFixed++;
        }
        else
        {
            _report.Corruptions++;
        }
    }

    private async ValueTask MendZoneAsync(long zone, ulong entry)
    {
        var zones = _zones!;
        long start = zones.Start(zone);
        string limits = zone < zones.Conventional
            ? $"a conventional zone has 0x{(ulong)start | zones.Flag:x}"
            : $"whole sectors from 0x{start:x} to 0x{start + zones.ZoneSize:x} are valid";
        if (!FixErrors)
        {
            SayCorruption($"ERROR zone {zone}: write pointer entry 0x{entry:x}: {limits}");
            return;
        }

        ulong mended = zone < zones.Conventional ? (ulong)start | zones.Flag : (ulong)await PointerFromDataAsync(zone);
        Say($"Repairing zone {zone}: write pointer entry 0x{entry:x}: {limits}; now 0x{mended:x}");
        var bytes = new byte[8];
        zones.Put(bytes, mended);
        await _storage.WriteAsync(zones.TableOffset + (zone * 8), bytes, cancellationToken);
        _report.CorruptionsFixed++;
    }

    /// <summary>
    /// The pointer that hides none of a zone's data: the end of its last allocated cluster, or the zone's start. The cluster may hold
    /// less than it has room for; the rest reads as zeroes.
    /// </summary>
    private async ValueTask<long> PointerFromDataAsync(long zone)
    {
        var zones = _zones!;
        long start = zones.Start(zone);
        long end = Math.Min(start + zones.Capacity, image.VirtualSize);
        for (long cluster = (end - 1) >> image.ClusterBits; cluster << image.ClusterBits > start - image.ClusterSize; cluster--)
        {
            long perTable = image.L2Entries;
            if (!await LoadZoneL2Async(cluster / perTable))
            {
                cluster = cluster / perTable * perTable;
            }
            else if ((L2Entry((int)(cluster % perTable)) & (OffsetMask | Compressed | ZeroFlag)) != 0)
            {
                long pointer = Math.Min((cluster + 1) << image.ClusterBits, end);
                return pointer >= end ? start + zones.ZoneSize : pointer;
            }
        }

        return start;
    }

    /// <summary>Tells of a pointer with nothing mapped below it, as a crash of the proposal's code leaves: the lost data reads as zeroes.</summary>
    private async ValueTask CompareWithDataAsync(long zone, long pointer)
    {
        var zones = _zones!;
        long start = zones.Start(zone);
        long end = Math.Min(start + zones.Capacity, image.VirtualSize);
        if (pointer == start || pointer >= end || image.HasBackingFile)
        {
            return;
        }

        long cluster = (pointer - 1) >> image.ClusterBits;
        bool mapped = await LoadZoneL2Async(cluster / image.L2Entries)
            && (L2Entry((int)(cluster % image.L2Entries)) & (OffsetMask | Compressed | ZeroFlag)) != 0;
        if (!mapped)
        {
            Say($"Note: zone {zone}: write pointer 0x{pointer:x}, but nothing is mapped just below it: data lost in a crash reads as zeroes");
        }
    }

    private async ValueTask<bool> LoadZoneL2Async(long l1Index)
    {
        _zoneL1 ??= await ReadL1Async(image.L1Offset, image.L1Entries);
        long l2 = (long)(BinaryPrimitives.ReadUInt64BigEndian(_zoneL1.AsSpan((int)l1Index * 8)) & OffsetMask);
        if (l2 == 0)
        {
            return false;
        }

        if (l2 == _zoneL2)
        {
            return true;
        }

        _zoneL2 = -1;
        if (!await LoadL2Async(l2))
        {
            return false;
        }

        _zoneL2 = l2;
        return true;
    }
}
