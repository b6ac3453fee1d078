using Paddock.Block.Serving;

namespace Paddock.VhostUser.Blk;

/// <summary>Counters of a device; every member may be read at any time.</summary>
public sealed class BlkStatistics
{
    private long _reads, _writes, _appends, _flushes, _zones, _others, _errors, _bytesRead, _bytesWritten;

    /// <summary>The kinds by which latencies are counted.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["read", "write", "append", "flush", "zone", "other"];

    /// <summary>How long requests took from the ring to the ring, failed ones too.</summary>
    public LatencyTable Latencies { get; } = new(Kinds.Count);

    /// <summary>Reads that succeeded.</summary>
    public long Reads => Volatile.Read(ref _reads);

    /// <summary>Writes that succeeded.</summary>
    public long Writes => Volatile.Read(ref _writes);

    /// <summary>Zone appends that succeeded.</summary>
    public long Appends => Volatile.Read(ref _appends);

    /// <summary>Flushes that succeeded.</summary>
    public long Flushes => Volatile.Read(ref _flushes);

    /// <summary>Zone reports and zone management requests that succeeded.</summary>
    public long ZoneRequests => Volatile.Read(ref _zones);

    /// <summary>Other requests that succeeded: discard, write zeroes, get-id.</summary>
    public long Others => Volatile.Read(ref _others);

    /// <summary>Requests that failed.</summary>
    public long Errors => Volatile.Read(ref _errors);

    /// <summary>Bytes read.</summary>
    public long BytesRead => Volatile.Read(ref _bytesRead);

    /// <summary>Bytes written, appended ones among them.</summary>
    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    internal void Count(RequestType type, RequestStatus status, long bytes, long startedAt)
    {
        Latencies.Count(KindOf(type), startedAt);
        if (status != RequestStatus.Ok)
        {
            Interlocked.Increment(ref _errors);
            return;
        }

        switch (type)
        {
            case RequestType.In:
                Interlocked.Increment(ref _reads);
                Interlocked.Add(ref _bytesRead, bytes);
                break;
            case RequestType.Out or RequestType.ZoneAppend:
                Interlocked.Increment(ref type == RequestType.Out ? ref _writes : ref _appends);
                Interlocked.Add(ref _bytesWritten, bytes);
                break;
            case RequestType.Flush:
                Interlocked.Increment(ref _flushes);
                break;
            case RequestType.GetId or RequestType.Discard or RequestType.WriteZeroes:
                Interlocked.Increment(ref _others);
                break;
            default:
                Interlocked.Increment(ref _zones);
                break;
        }
    }

    private static int KindOf(RequestType type) => type switch
    {
        RequestType.In => 0,
        RequestType.Out => 1,
        RequestType.ZoneAppend => 2,
        RequestType.Flush => 3,
        RequestType.GetId or RequestType.Discard or RequestType.WriteZeroes => 5,
        _ => 4,
    };
}
