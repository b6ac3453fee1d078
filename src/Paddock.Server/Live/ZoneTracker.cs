using System.Diagnostics;
using System.Numerics;
using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>
/// Follows the zones of a served disk. Each look asks for the zones that requests have touched, for those that were open or closed, which
/// the disk may change by itself, and for a part of all zones, so that every change is seen within a second.
/// </summary>
/// <param name="zones">The zones, without fault rules.</param>
/// <param name="meter">Knows the touched zones.</param>
/// <param name="lost">Receives zones that became read-only or offline.</param>
internal sealed class ZoneTracker(IZones zones, LiveMeter meter, LostZones lost)
{
    private const int Batch = 1024, LeastScan = 65536;

    private readonly ZoneDescriptor[] _batch = new ZoneDescriptor[Batch];
    private readonly int[] _counts = new int[(int)ZoneCondition.Offline + 1];
    private volatile ZoneTable _table = new(0);
    private uint[] _active = [];
    private int _next;
    private long _lookedAt;
    private volatile bool _looksAtAll = true;

    /// <summary>The zones as last seen.</summary>
    public ZoneTable Table => _table;

    /// <summary>Number of zones in a condition.</summary>
    public int this[ZoneCondition condition] => Volatile.Read(ref _counts[(int)condition]);

    /// <summary>Makes the next look see every zone.</summary>
    public void LookAtAll() => _looksAtAll = true;

    /// <summary>Looks at the zones; one look at a time.</summary>
    /// <param name="stamp">Number of this look, higher than that of the previous one.</param>
    /// <exception cref="BlockException">The disk cannot report its zones now.</exception>
    public async ValueTask LookAsync(uint stamp)
    {
        var limits = zones.Limits;
        if (limits.ZoneCount != _table.Zones)
        {
            Resize(limits.ZoneCount);
        }

        var heat = meter.Prepare(limits);
        bool all = _looksAtAll;
        _looksAtAll = false;
        try
        {
            await LookAroundAsync(heat, limits, all, stamp);
        }
        catch
        {
            _looksAtAll = true;
            throw;
        }
    }

    private async ValueTask LookAroundAsync(ZoneHeat heat, ZonedLimits limits, bool all, uint stamp)
    {
        long now = Stopwatch.GetTimestamp();
        double seconds = Stopwatch.GetElapsedTime(_lookedAt, now).TotalSeconds;
        _lookedAt = now;
        int count = _table.Zones;
        int scan = all ? count : (int)Math.Min(count, Math.Max(LeastScan, count * seconds));
        int first = all || _next >= count ? 0 : _next;
        await ReadAsync(first, Math.Min(scan, count - first), limits, heat, stamp);
        _next = first + scan;
        for (int word = 0; word < heat.Words; word++)
        {
            uint touched = heat.TakeTouched(word);
            uint wanted = touched | _active[word];
            while (wanted != 0)
            {
                int from = BitOperations.TrailingZeroCount(wanted);
                int run = BitOperations.TrailingZeroCount(~(wanted >> from));
                await ReadAsync((word * 32) + from, Math.Min(run, count - (word * 32) - from), limits, heat, stamp);
                wanted = from + run >= 32 ? 0 : wanted & (uint.MaxValue << (from + run));
            }

            // traffic alone, such as reads, is a change too
            for (uint rest = touched; rest != 0; rest &= rest - 1)
            {
                _table.Stamp[(word * 32) + BitOperations.TrailingZeroCount(rest)] = stamp;
            }
        }

        lost.End();
    }

    private async ValueTask ReadAsync(int first, int count, ZonedLimits limits, ZoneHeat heat, uint stamp)
    {
        for (int done = 0; done < count;)
        {
            int got = await zones.ReportAsync((first + done) * limits.ZoneSize, _batch.AsMemory(0, Math.Min(Batch, count - done)));
            if (got <= 0 || first + done + got > Math.Min(_table.Zones, heat.Zones))
            {
                return;
            }

            for (int i = 0; i < got; i++)
            {
                Note(first + done + i, _batch[i], stamp);
            }

            done += got;
        }
    }

    private void Note(int zone, in ZoneDescriptor seen, uint stamp)
    {
        var table = _table;
        long written = seen.Type == ZoneType.Conventional ? 0 : Math.Clamp(seen.WritePointer - seen.Start, 0, seen.Capacity);
        byte condition = (byte)seen.Condition, before = table.Condition[zone];
        bool isNew = table.Stamp[zone] == 0;
        if (!isNew && before == condition && table.Written[zone] == written)
        {
            return;
        }

        if (before != condition || isNew)
        {
            _counts[before] -= isNew ? 0 : 1;
            _counts[condition]++;
            uint bit = 1u << (zone & 31);
            bool active = seen.Condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen or ZoneCondition.Closed;
            _active[zone >> 5] = active ? _active[zone >> 5] | bit : _active[zone >> 5] & ~bit;
            if (!isNew && seen.Condition is (ZoneCondition.ReadOnly or ZoneCondition.Offline))
            {
                lost.Add(zone, seen.Condition);
            }
        }

        table.Condition[zone] = condition;
        table.Written[zone] = written;

        // last: a reader that sees the stamp sees the rest
        Volatile.Write(ref table.Stamp[zone], stamp);
    }

    private void Resize(int count)
    {
        var (before, table) = (_table, new ZoneTable(count));
        table.CopyFrom(before);
        for (int zone = count; zone < before.Zones; zone++)
        {
            _counts[before.Condition[zone]] -= before.Stamp[zone] == 0 ? 0 : 1;
        }

        Array.Resize(ref _active, (count + 31) / 32);
        if ((count & 31) is > 0 and var used)
        {
            _active[^1] &= (1u << used) - 1;
        }

        _table = table;
        _looksAtAll = true;
    }
}
