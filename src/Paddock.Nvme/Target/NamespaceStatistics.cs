namespace Paddock.Nvme;

/// <summary>Counters of a namespace; every member may be read at any time.</summary>
public sealed class NamespaceStatistics
{
    // zones are counted in pieces that stay where they are when their number changes
    private const int PieceShift = 10;

    private volatile Zones _zones = new(0, []);
    private long _reads, _writes, _others, _errors, _bytesRead, _bytesWritten;

    internal NamespaceStatistics(int zones) => Resize(zones);

    /// <summary>Reads that succeeded.</summary>
    public long Reads => Volatile.Read(ref _reads);

    /// <summary>Writes, appends and write zeroes that succeeded.</summary>
    public long Writes => Volatile.Read(ref _writes);

    /// <summary>Other commands that succeeded.</summary>
    public long Others => Volatile.Read(ref _others);

    /// <summary>Commands that failed.</summary>
    public long Errors => Volatile.Read(ref _errors);

    /// <summary>Bytes read.</summary>
    public long BytesRead => Volatile.Read(ref _bytesRead);

    /// <summary>Bytes written.</summary>
    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    /// <summary>Number of zones that are counted apart.</summary>
    public int ZoneCount => _zones.Count;

    /// <summary>Bytes written to a zone, and how often it was reset; nothing for one that there is not.</summary>
    public (long BytesWritten, long Resets) OfZone(int zone)
    {
        var zones = _zones;
        if ((uint)zone >= (uint)zones.Count)
        {
            return default;
        }

        ref var counters = ref zones.Of(zone);
        return (Volatile.Read(ref counters.Written), Volatile.Read(ref counters.Resets));
    }

    /// <summary>Counts so many zones from now on; what is counted of those that stay goes on. One caller at a time.</summary>
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

    internal void CountRead(long bytes)
    {
        Interlocked.Increment(ref _reads);
        Interlocked.Add(ref _bytesRead, bytes);
    }

    internal void CountWrite(long bytes, int zone)
    {
        Interlocked.Increment(ref _writes);
        Interlocked.Add(ref _bytesWritten, bytes);
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

    internal void CountOther() => Interlocked.Increment(ref _others);

    internal void CountError() => Interlocked.Increment(ref _errors);

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
