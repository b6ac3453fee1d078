namespace Paddock.VhostUser.Blk;

/// <summary>Limits on a single request, and on the resources of all requests.</summary>
internal static class BlkLimits
{
    /// <summary>Bytes in a sector, the unit of every address and length of the device.</summary>
    public const int Sector = 512;

    /// <summary>log2 of <see cref="Sector"/>.</summary>
    public const int SectorShift = 9;

    /// <summary>
    /// Maximum length in bytes of scattered data that reaches the disk as one request, if memory allows; longer data is split into parts.
    /// </summary>
    public const int LongestGathered = 16 << 20;

    /// <summary>Bytes of a part.</summary>
    public const int Part = 1 << 20;

    /// <summary>Maximum length in bytes of data that the ring's own thread copies: longer requests run concurrently.</summary>
    public const int LongestInline = 256 << 10;

    /// <summary>
    /// Minimum length in bytes of a write that takes turns with others: a shorter one completes before another thread wakes.
    /// </summary>
    public const int ShortestInTurn = 64 << 10;

    /// <summary>Maximum number of ranges in one discard or write zeroes request.</summary>
    public const int Ranges = 64;

    /// <summary>Sectors of one range: 2 GiB.</summary>
    public const int RangeSectors = 1 << 22;

    /// <summary>Maximum total length in bytes of ranges that are discarded or zeroed at once; longer requests run in pieces.</summary>
    public const long ShortRanges = 4 << 20;

    /// <summary>A piece of a long discard, in bytes.</summary>
    public const long DiscardPiece = 256 << 20;

    /// <summary>A piece of a long write zeroes, in bytes.</summary>
    public const long ZeroesPiece = 16 << 20;

    /// <summary>Maximum number of bytes that the requests of a disk hold at once, if memory allows.</summary>
    public const long Buffers = 256L << 20;

    /// <summary>
    /// Divisor of shared memory: a disk uses at most one part in this many, and one request at most one in twice as many.
    /// </summary>
    public const int Share = 2;

    /// <summary>Maximum number of bytes in buffers that a device keeps for reuse.</summary>
    public const long KeptBuffers = 16L << 20;

    /// <summary>Cost in bytes of a request in flight, in addition to its buffer: its pieces and its slot in a queue.</summary>
    public const int RequestCost = 16 << 10;
}
