namespace Paddock.Nvme;

/// <summary>Counters of a namespace; every member may be read at any time.</summary>
public sealed class NamespaceStatistics
{
    private readonly ZoneCounters[] _zones;
    private long _reads, _writes, _others, _errors, _bytesRead, _bytesWritten;

    internal NamespaceStatistics(int zones) => _zones = new ZoneCounters[zones];

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
    public int ZoneCount => _zones.Length;

    /// <summary>Bytes written to a zone, and how often it was reset.</summary>
    public (long BytesWritten, long Resets) OfZone(int zone)
        => (Volatile.Read(ref _zones[zone].Written), Volatile.Read(ref _zones[zone].Resets));

    internal void CountRead(long bytes)
    {
        Interlocked.Increment(ref _reads);
        Interlocked.Add(ref _bytesRead, bytes);
    }

    internal void CountWrite(long bytes, int zone)
    {
        Interlocked.Increment(ref _writes);
        Interlocked.Add(ref _bytesWritten, bytes);
        if ((uint)zone < (uint)_zones.Length)
        {
            Interlocked.Add(ref _zones[zone].Written, bytes);
        }
    }

    internal void CountReset(int zone)
    {
        if ((uint)zone < (uint)_zones.Length)
        {
            Interlocked.Increment(ref _zones[zone].Resets);
        }
    }

    internal void CountOther() => Interlocked.Increment(ref _others);

    internal void CountError() => Interlocked.Increment(ref _errors);

    private struct ZoneCounters
    {
        public long Written;
        public long Resets;
    }
}
