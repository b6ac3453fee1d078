using System.Text.Json.Serialization;

namespace Paddock.Server.Live;

/// <summary>One line of the live feed; see docs/live.md.</summary>
public sealed record LiveFrame
{
    /// <summary>Value of <see cref="Type"/> of the first frames: every zone and every kept event.</summary>
    public const string Snapshot = "snapshot";

    /// <summary>Value of <see cref="Type"/> of later frames: what has changed.</summary>
    public const string Delta = "delta";

    /// <summary><see cref="Snapshot"/> or <see cref="Delta"/>.</summary>
    public required string Type { get; set; }

    /// <summary>Number of the look at the zones; rises with each delta.</summary>
    public uint Stamp { get; set; }

    /// <summary>Time of the frame, in milliseconds since 1970 (UTC).</summary>
    public long TimeMs { get; set; }

    /// <summary>Whether the next frame continues this one with further zones.</summary>
    public bool More { get; set; }

    /// <summary>Upper bounds of all latency classes but the last, in microseconds; in a snapshot's first frame only.</summary>
    public IReadOnlyList<double>? LatencyBoundsUs { get; set; }

    /// <summary>The disks; a frame that continues another has those with further zones.</summary>
    public IReadOnlyList<LiveDiskFrame> Disks { get; set; } = [];

    /// <summary>Events since the previous frame, oldest first.</summary>
    public IReadOnlyList<LiveEvent> Events { get; set; } = [];
}

/// <summary>A served disk in a <see cref="LiveFrame"/>.</summary>
public sealed record LiveDiskFrame
{
    /// <summary>Numbers of a run in <see cref="Zones"/>.</summary>
    public const int RunLength = 7;

    /// <summary>Name of the disk: its NBD export.</summary>
    public required string Name { get; set; }

    /// <summary>
    /// Changed zones as runs of equal neighbours, seven numbers each: first zone, number of zones, condition (its number in zone reports),
    /// bytes written, and writes, resets and reads since recording began.
    /// </summary>
    public IReadOnlyList<long> Zones { get; set; } = [];

    /// <summary>State of the disk; null in a frame that only continues the zones.</summary>
    public LiveDiskState? State { get; set; }
}

/// <summary>State of a served disk.</summary>
public sealed record LiveDiskState
{
    /// <summary>Name of the image file.</summary>
    public required string Image { get; set; }

    /// <summary><c>active</c>, <c>handing over</c>, <c>standby</c> (another server owns the image) or <c>lost</c>.</summary>
    public string State { get; set; } = "active";

    /// <summary>Size in bytes.</summary>
    public long Size { get; set; }

    /// <summary>Whether writes are rejected.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Geometry, limits and zones in use; null for a plain disk.</summary>
    public LiveZoned? Zoned { get; set; }

    /// <summary>Requests by kind, since recording began.</summary>
    public IReadOnlyList<LiveKind> Requests { get; set; } = [];

    /// <summary>Bytes that clients have written since the server started.</summary>
    public long ClientWrittenBytes { get; set; }

    /// <summary>Bytes written to the image file since the server started, metadata included.</summary>
    public long FileWrittenBytes { get; set; }

    /// <summary>Bytes written to the image file per byte that clients have written; null before the first.</summary>
    public double? WriteAmplification { get; set; }

    /// <summary>Space that the image file occupies, in bytes.</summary>
    public long FileBytes { get; set; }
}

/// <summary>Zones of a served disk.</summary>
public sealed record LiveZoned
{
    /// <summary>Bytes from one zone's start to the next.</summary>
    public long ZoneSize { get; set; }

    /// <summary>Writable bytes in a whole zone.</summary>
    public long ZoneCapacity { get; set; }

    /// <summary>Number of zones.</summary>
    public int ZoneCount { get; set; }

    /// <summary>Number of leading conventional zones.</summary>
    public int ConventionalZones { get; set; }

    /// <summary>Maximum number of open zones; 0: no limit.</summary>
    public uint MaxOpen { get; set; }

    /// <summary>Maximum number of active zones; 0: no limit.</summary>
    public uint MaxActive { get; set; }

    /// <summary>Open zones.</summary>
    public int Open { get; set; }

    /// <summary>Active zones: open or closed.</summary>
    public int Active { get; set; }

    /// <summary>Number of zones by condition.</summary>
    public required IReadOnlyDictionary<string, int> Conditions { get; set; }
}

/// <summary>Requests of one kind.</summary>
public sealed record LiveKind
{
    /// <summary><c>read</c>, <c>write</c>, <c>append</c>, <c>zone</c> (management and reports), <c>flush</c> or <c>other</c>.</summary>
    public required string Kind { get; set; }

    /// <summary>Number of requests that have ended, failed ones included.</summary>
    public long Operations { get; set; }

    /// <summary>Bytes transferred.</summary>
    public long Bytes { get; set; }

    /// <summary>Failed requests.</summary>
    public long Errors { get; set; }

    /// <summary>Total duration, in microseconds.</summary>
    public long TotalUs { get; set; }

    /// <summary>Number of requests in each latency class.</summary>
    public IReadOnlyList<long> Latency { get; set; } = [];
}

/// <summary>An event of the server.</summary>
public sealed record LiveEvent
{
    /// <summary>Its number, from 1.</summary>
    public long Number { get; set; }

    /// <summary>Its time, in milliseconds since 1970 (UTC).</summary>
    public long TimeMs { get; set; }

    /// <summary>Name of the event, as in the log.</summary>
    public required string Event { get; set; }

    /// <summary>Names and values. They may come from clients: escape them before they are shown.</summary>
    public IReadOnlyDictionary<string, string> Facts { get; set; } = new Dictionary<string, string>();
}

/// <summary>JSON format of the live feed.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(LiveFrame))]
public sealed partial class LiveJson : JsonSerializerContext;
