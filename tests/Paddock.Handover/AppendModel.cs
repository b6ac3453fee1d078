namespace Paddock.Handover;

/// <summary>
/// What the sequential zones may contain: each append at most once, those that were answered where the answer said, those that were
/// flushed for certain. An append without an answer is looked up after the hand-over.
/// </summary>
/// <param name="zones">Number of zones.</param>
/// <param name="blocksPerZone">Blocks of each zone.</param>
internal sealed class AppendModel(int zones, int blocksPerZone)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<long, Append> _appends = [];
    private readonly int[] _given = new int[zones];
    private readonly bool[] _resetting = new bool[zones];

    /// <summary>Number of zones.</summary>
    public int Zones => zones;

    /// <summary>Number of appends that have had no answer, and were then found on the disk.</summary>
    public int LookedUp { get; private set; }

    /// <summary>Begins an append to a zone with space.</summary>
    /// <returns>The zone; null if all are full: one must be reset.</returns>
    public int? Begin(Random random, long number)
    {
        lock (_lock)
        {
            int first = random.Next(zones);
            for (int i = 0; i < zones; i++)
            {
                int zone = (first + i) % zones;
                if (!_resetting[zone] && _given[zone] < blocksPerZone)
                {
                    _given[zone]++;
                    _appends.Add(number, new Append(zone));
                    return zone;
                }
            }

            return null;
        }
    }

    /// <summary>Ends an append.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="block">Where it is on the disk; null: it failed, or no answer came.</param>
    public void End(long number, long? block)
    {
        lock (_lock)
        {
            if (block is { } place)
            {
                _appends[number].Place = place;
            }

            _appends[number].IsInFlight = false;
        }
    }

    /// <summary>Begins to reset a zone to which nobody appends.</summary>
    /// <returns>The zone; null if all are full.</returns>
    public int? BeginReset(Random random)
    {
        lock (_lock)
        {
            var busy = _appends.Values.Where(static a => a.IsInFlight).Select(static a => a.Zone).ToHashSet();
            int[] full = [.. Enumerable.Range(0, zones).Where(z => _given[z] >= blocksPerZone && !_resetting[z] && !busy.Contains(z))];
            if (full.Length == 0)
            {
                return null;
            }

            int zone = full[random.Next(full.Length)];
            _resetting[zone] = true;
            return zone;
        }
    }

    /// <summary>A reset has succeeded, and was flushed.</summary>
    public void EndReset(int zone)
    {
        lock (_lock)
        {
            Forget(zone);
        }
    }

    /// <summary>The appends that were answered, and are durable once a flush that begins now has succeeded.</summary>
    public long[] Written()
    {
        lock (_lock)
        {
            return [.. _appends.Where(static a => a.Value is { Place: not null, IsDurable: false }).Select(static a => a.Key)];
        }
    }

    /// <summary>A flush has succeeded.</summary>
    public void Flushed(long[] written)
    {
        lock (_lock)
        {
            foreach (long number in written)
            {
                if (_appends.TryGetValue(number, out var append))
                {
                    append.IsDurable = true;
                }
            }
        }
    }

    /// <summary>Takes what the zones contain after a hand-over, before new appends.</summary>
    /// <param name="found">For each zone, the numbers in its blocks up to the write pointer.</param>
    /// <param name="keepsAll">Whether nothing that was answered may be lost, flushed or not.</param>
    /// <param name="isFenced">Whether appends without an answer cannot be executed any more.</param>
    /// <returns>What is wrong; null: nothing.</returns>
    public string? Found(long[][] found, bool keepsAll, bool isFenced)
    {
        lock (_lock)
        {
            for (int zone = 0; zone < zones; zone++)
            {
                if (_resetting[zone] && (found[zone].Length == 0 || isFenced))
                {
                    // done, or never to be done
                    _resetting[zone] = false;
                    if (found[zone].Length == 0)
                    {
                        Forget(zone);
                    }
                }
            }

            var seen = new HashSet<long>();
            for (int zone = 0; zone < zones; zone++)
            {
                for (int i = 0; i < found[zone].Length; i++)
                {
                    if (See(found[zone][i], zone, ((long)zone * blocksPerZone) + i, seen) is { } wrong)
                    {
                        return wrong;
                    }
                }

                _given[zone] = Math.Max(found[zone].Length, isFenced ? 0 : _given[zone]);
            }

            return Missing(seen, keepsAll, isFenced);
        }
    }

    private string? See(long number, int zone, long place, HashSet<long> seen)
    {
        if (!_appends.TryGetValue(number, out var append))
        {
            return $"zone {zone} has append {number} at block {place}, which was never sent, or is gone for certain";
        }

        if (!seen.Add(number))
        {
            return $"append {number} is on the disk twice, the second time at block {place}";
        }

        if (append.Zone != zone || (append.Place is { } said && said != place))
        {
            return $"append {number} to zone {append.Zone} is at block {place}, but the answer was {append.Place}";
        }

        LookedUp += append.Place is null ? 1 : 0;
        append.Place = place;
        return null;
    }

    private string? Missing(HashSet<long> seen, bool keepsAll, bool isFenced)
    {
        foreach (var (number, append) in _appends.Where(a => !seen.Contains(a.Key)).ToArray())
        {
            if (append.IsDurable || (keepsAll && append.Place is not null))
            {
                return $"append {number} was {(append.IsDurable ? "flushed" : "answered")} at block {append.Place}, and is lost";
            }

            if (isFenced || append.Place is not null)
            {
                _appends.Remove(number);
            }
        }

        return null;
    }

    private void Forget(int zone)
    {
        foreach (long number in _appends.Where(a => a.Value.Zone == zone).Select(static a => a.Key).ToArray())
        {
            _appends.Remove(number);
        }

        _given[zone] = 0;
        _resetting[zone] = false;
    }

    private sealed class Append(int zone)
    {
        public int Zone => zone;

        public long? Place { get; set; }

        public bool IsInFlight { get; set; } = true;

        public bool IsDurable { get; set; }
    }
}
