namespace Paddock.Cli.Native.Bench;

/// <summary>What one load does.</summary>
public enum BenchOperation
{
    /// <summary>Reads one place after the other.</summary>
    Read,

    /// <summary>Writes one place after the other; on a zoned disk a zone at a time, in order.</summary>
    Write,

    /// <summary>Reads here and there.</summary>
    RandomRead,

    /// <summary>Writes here and there; plain disks only.</summary>
    RandomWrite,

    /// <summary>Zone appends; zoned disks only.</summary>
    Append,
}

/// <summary>The settings of `paddock bench`.</summary>
public sealed record BenchPlan
{
    /// <summary>Image file, <c>nvme+tcp://</c> or <c>nbd://</c> name.</summary>
    public required string Target { get; init; }

    /// <summary>What is done.</summary>
    public BenchOperation Operation { get; init; } = BenchOperation.RandomRead;

    /// <summary>Bytes of a request, a multiple of 512.</summary>
    public int BlockSize { get; init; } = 4096;

    /// <summary>Requests in flight on each connection, 1 to 1024.</summary>
    public int Depth { get; init; } = 32;

    /// <summary>Connections, 1 to 64; more than one for names at a server alone.</summary>
    public int Connections { get; init; } = 1;

    /// <summary>How long it lasts at most.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the same load runs before it is measured.</summary>
    public TimeSpan WarmUp { get; init; }

    /// <summary>Most bytes that are moved by all connections together; 0: until the time is over.</summary>
    public long Size { get; init; }

    /// <summary>Requests a second of all connections together; 0: as many as it gets.</summary>
    public double Rate { get; init; }

    /// <summary>Format of an image file; null: it is probed.</summary>
    public string? Format { get; init; }

    /// <summary>HOST:PORT of the server's metrics, read before and after; null: none.</summary>
    public string? Metrics { get; init; }

    /// <summary>Seed of the places that random requests take.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Whether the result is printed as JSON.</summary>
    public bool Json { get; init; }

    /// <summary>Whether progress is shown where standard error is no terminal.</summary>
    public bool ShowsProgress { get; init; }

    internal bool Writes => Operation is BenchOperation.Write or BenchOperation.RandomWrite or BenchOperation.Append;
}
