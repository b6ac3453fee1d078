using Paddock.Block;
using Paddock.Server.Disks;

namespace Paddock.Server.Live;

/// <summary>A served disk as the live feed sees it.</summary>
internal sealed class LiveDisk
{
    private readonly ServedDisk _disk;
    private Task _look = Task.CompletedTask;

    /// <param name="disk">The disk.</param>
    /// <param name="events">Receives zones that were lost.</param>
    public LiveDisk(ServedDisk disk, RecentEvents events)
    {
        _disk = disk;
        if (disk.Served.ZonesWithoutFaults is { } zones)
        {
            Zones = new ZoneTracker(zones, disk.Meter, new LostZones(disk.Name, events));
        }
    }

    /// <summary>The disk.</summary>
    public ServedDisk Disk => _disk;

    /// <summary>Its zones; null for a plain disk.</summary>
    public ZoneTracker? Zones { get; }

    /// <summary>Starts to record requests for a watcher.</summary>
    public void Watch()
    {
        if (_disk.Served.ZonesWithoutFaults is { Limits: var limits })
        {
            _disk.Meter.Prepare(limits);
        }

        _disk.Meter.Watch();
    }

    /// <summary>Ends what <see cref="Watch"/> began.</summary>
    public void Unwatch() => _disk.Meter.Unwatch();

    /// <summary>Looks at the zones, unless the previous look has not ended.</summary>
    /// <param name="stamp">Number of this look.</param>
    /// <param name="patience">
    /// Longest wait: a disk that is being resized or has no power answers later, and is shown as last seen until then.
    /// </param>
    public async Task LookAsync(uint stamp, TimeSpan patience)
    {
        if (Zones is not { } zones)
        {
            return;
        }

        if (_look.IsCompleted)
        {
            _look = LookAsync(zones, stamp);
        }

        await Task.WhenAny(_look, Task.Delay(patience));
    }

    /// <summary>The state, with what clients have written.</summary>
    public LiveDiskState StateOf(long clientBytes)
    {
        long file = _disk.Written.BytesWritten;
        return new LiveDiskState
        {
            Image = _disk.Settings.Path,
            State = _disk.StateName,
            Size = _disk.Device.Length,
            ReadOnly = _disk.Device.IsReadOnly,
            Zoned = ZonedNow(),
            Requests = _disk.Meter.Counters.Read(),
            ClientWrittenBytes = clientBytes,
            FileWrittenBytes = file,
            WriteAmplification = clientBytes == 0 ? null : (double)file / clientBytes,
            FileBytes = _disk.FileBytes,
        };
    }

    /// <summary>The zones that have changed since a look, as runs of <see cref="LiveDiskFrame.RunLength"/> numbers.</summary>
    /// <param name="since">Number of the look; 0: all zones.</param>
    /// <param name="from">First zone to consider; then the first one that did not fit.</param>
    /// <param name="runs">Maximum number of runs.</param>
    public long[] RunsSince(uint since, ref int from, int runs)
    {
        if (Zones is not { Table: { } table } || _disk.Meter.Heat is not { } heat)
        {
            from = 0;
            return [];
        }

        var found = new List<long>();
        int zones = Math.Min(table.Zones, heat.Zones), zone = from, last = -1;
        for (; zone < zones; zone++)
        {
            if (Volatile.Read(ref table.Stamp[zone]) <= since)
            {
                continue;
            }

            (long condition, long written) = (table.Condition[zone], table.Written[zone]);
            (long writes, long resets, long reads) = (heat.Writes(zone), heat.Resets(zone), heat.Reads(zone));
            if (last == zone - 1 && found is [.., var c, var w, var ws, var rs, var rd]
                && c == condition && w == written && ws == writes && rs == resets && rd == reads)
            {
                found[^(LiveDiskFrame.RunLength - 1)]++;
            }
            else if (found.Count == runs * LiveDiskFrame.RunLength)
            {
                break;
            }
            else
            {
                found.AddRange([zone, 1, condition, written, writes, resets, reads]);
            }

            last = zone;
        }

        from = zone;
        return [.. found];
    }

    private static async Task LookAsync(ZoneTracker zones, uint stamp)
    {
        try
        {
            await Task.Yield();
            await zones.LookAsync(stamp);
        }
        catch (BlockException)
        {
            // it has no power, for instance: the zones stay as last seen
        }
    }

    private LiveZoned? ZonedNow()
    {
        if (Zones is not { } zones || _disk.Zones is not { Limits: var limits })
        {
            return null;
        }

        int open = zones[ZoneCondition.ImplicitlyOpen] + zones[ZoneCondition.ExplicitlyOpen];
        return new LiveZoned
        {
            ZoneSize = limits.ZoneSize,
            ZoneCapacity = limits.ZoneCapacity,
            ZoneCount = zones.Table.Zones,
            ConventionalZones = limits.ConventionalZones,
            MaxOpen = limits.MaxOpenZones,
            MaxActive = limits.MaxActiveZones,
            Open = open,
            Active = open + zones[ZoneCondition.Closed],
            Conditions = Conditions.Names.ToDictionary(c => c.Value, c => zones[c.Key]),
        };
    }
}
