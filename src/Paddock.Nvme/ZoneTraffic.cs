namespace Paddock.Nvme;

/// <summary>Bytes written to each zone of a namespace, and its resets; every member may be read at any time.</summary>
internal sealed class ZoneTraffic
{
    // counters are kept in chunks that do not move when the number of zones changes
    private const int PieceShift = 10;

    private volatile Zones _zones = new(0, []);

    internal ZoneTraffic(int zones) => Resize(zones);

    /// <summary>Number of zones.</summary>
    public int ZoneCount => _zones.Count;

    /// <summary>Bytes written to a zone, and how often it was reset; zeroes for a zone that does not exist.</summary>
    public (long BytesWritten, long Resets) this[int zone]
    {
        get
        {
            var zones = _zones;
            if ((uint)zone >= (uint)zones.Count)
            {
                return default;
            }

            ref var counters = ref zones.Of(zone);
            return (Volatile.Read(ref counters.Written), Volatile.Read(ref counters.Resets));
        }
    }

    /// <summary>Changes the number of zones; counts of the zones that remain are kept. One caller at a time.</summary>
    internal void Resize(int zones)
    {
        var before = _zones;
        if (zones == before.Count)
        {
            return;
        }

        var pieces = new ZoneCounters[(zones + (1 << PieceShift) - 1) >> PieceShift][];
        Array.Copy(before.Pieces, pieces, Math.Min(before.Pieces.Length, pieces.Length));
        for (int i = before.Pieces.Length; i < pieces.Length; i++)
        {
            pieces[i] = new ZoneCounters[1 << PieceShift];
        }

        _zones = new Zones(zones, pieces);
    }

    internal void CountWrite(int zone, long bytes)
    {
        var zones = _zones;
        if ((uint)zone < (uint)zones.Count)
        {
            Interlocked.Add(ref zones.Of(zone).Written, bytes);
        }
    }

    internal void CountReset(int zone)
    {
        var zones = _zones;
        if ((uint)zone < (uint)zones.Count)
        {
            Interlocked.Increment(ref zones.Of(zone).Resets);
        }
    }

    private sealed record Zones(int Count, ZoneCounters[][] Pieces)
    {
        public ref ZoneCounters Of(int zone) => ref Pieces[zone >> PieceShift][zone & ((1 << PieceShift) - 1)];
    }

    private struct ZoneCounters
    {
        public long Written;
        public long Resets;
    }
}
