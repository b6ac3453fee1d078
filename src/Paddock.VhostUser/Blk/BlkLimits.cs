namespace Paddock.VhostUser.Blk;

/// <summary>What a request may ask for, and what requests may hold.</summary>
internal static class BlkLimits
{
    /// <summary>Bytes of a sector: sectors are what every address and length of the device counts in.</summary>
    public const int Sector = 512;

    /// <summary>log2 of <see cref="Sector"/>.</summary>
    public const int SectorShift = 9;

    /// <summary>
    /// Longest data in pieces that go to the disk as one request, in bytes, where memory allows; what is longer goes in parts.
    /// </summary>
    public const int LongestGathered = 16 << 20;

    /// <summary>Bytes of a part.</summary>
    public const int Part = 1 << 20;

    /// <summary>Longest data that the ring's own thread copies, in bytes: longer requests run side by side.</summary>
    public const int LongestInline = 256 << 10;

    /// <summary>Shortest write that takes turns with others, in bytes: a shorter one is over before another thread is awake.</summary>
    public const int ShortestInTurn = 64 << 10;

    /// <summary>Ranges of one discard or write zeroes request.</summary>
    public const int Ranges = 64;

    /// <summary>Sectors of one range: 2 GiB.</summary>
    public const int RangeSectors = 1 << 22;

    /// <summary>
    /// What the ranges of a request may have together to be discarded or zeroed at once, in bytes; more is done in pieces.
    /// </summary>
    public const long ShortRanges = 4 << 20;

    /// <summary>A piece of a long discard, in bytes.</summary>
    public const long DiscardPiece = 256 << 20;

    /// <summary>A piece of a long write zeroes, in bytes.</summary>
    public const long ZeroesPiece = 16 << 20;

    /// <summary>Bytes that the requests of a disk may take at once, where memory allows.</summary>
    public const long Buffers = 256L << 20;

    /// <summary>
    /// Of memory that is shared, a disk takes no more than one in so many parts, and one request no more than one in twice as many.
    /// </summary>
    public const int Share = 2;

    /// <summary>Bytes of buffers that a device keeps for later.</summary>
    public const long KeptBuffers = 16L << 20;

    /// <summary>What a request that runs on counts for beside its buffer, in bytes: its pieces, its place in a queue.</summary>
    public const int RequestCost = 16 << 10;
}
