using System.Text.Json.Serialization;
using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>Reply to a request that failed.</summary>
internal sealed record ApiError
{
    public required string Error { get; init; }
}

/// <summary>Reply of <c>/healthz</c>.</summary>
internal sealed record ApiHealth
{
    public required string Status { get; init; }

    public required int Disks { get; init; }
}

/// <summary>Reply of <c>/api/disks</c>.</summary>
internal sealed record ApiDisks
{
    public required string Version { get; init; }

    public required bool Control { get; init; }

    public required IReadOnlyList<ApiDisk> Disks { get; init; }
}

/// <summary>A disk in <see cref="ApiDisks"/>.</summary>
internal sealed record ApiDisk
{
    public required string Name { get; init; }

    public required string Image { get; init; }

    public required long Size { get; init; }

    public required bool ReadOnly { get; init; }

    public LiveZoned? Zoned { get; init; }
}

/// <summary>Reply of <c>/api/stats</c>.</summary>
internal sealed record ApiStats
{
    public required uint Stamp { get; init; }

    public required long TimeMs { get; init; }

    public required IReadOnlyList<double> LatencyBoundsUs { get; init; }

    public required IReadOnlyDictionary<string, int> Connections { get; init; }

    public required IReadOnlyList<ApiDiskStats> Disks { get; init; }
}

/// <summary>Counters of a disk in <see cref="ApiStats"/>.</summary>
internal sealed record ApiDiskStats
{
    public required string Name { get; init; }

    public required IReadOnlyList<LiveKind> Requests { get; init; }

    public required long ClientWrittenBytes { get; init; }

    public required long FileWrittenBytes { get; init; }

    public double? WriteAmplification { get; init; }

    public required long FileBytes { get; init; }
}

/// <summary>Reply of <c>/api/zones</c>.</summary>
internal sealed record ApiZones
{
    public required string Disk { get; init; }

    public required uint Stamp { get; init; }

    public required int ZoneCount { get; init; }

    public int? Next { get; init; }

    public required IReadOnlyList<ApiZone> Zones { get; init; }
}

/// <summary>A zone in <see cref="ApiZones"/>.</summary>
internal sealed record ApiZone
{
    public required int Zone { get; init; }

    public required long Start { get; init; }

    public required long Capacity { get; init; }

    public long? WritePointer { get; init; }

    public required long Written { get; init; }

    public required string Condition { get; init; }

    public required uint Writes { get; init; }

    public required uint Resets { get; init; }

    public required uint Reads { get; init; }

    public required uint Stamp { get; init; }
}

/// <summary>Body of a POST to <c>/api/control</c>.</summary>
internal sealed record ApiCommand
{
    public required string Disk { get; init; }

    public required string Action { get; init; }

    public required long Zone { get; init; }
}

/// <summary>Reply to a POST to <c>/api/control</c>.</summary>
internal sealed record ApiDone
{
    public required string Done { get; init; }
}

/// <summary>JSON format of the API.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ApiError))]
[JsonSerializable(typeof(ApiHealth))]
[JsonSerializable(typeof(ApiDisks))]
[JsonSerializable(typeof(ApiStats))]
[JsonSerializable(typeof(ApiZones))]
[JsonSerializable(typeof(ApiCommand))]
[JsonSerializable(typeof(ApiDone))]
[JsonSerializable(typeof(LiveFrame[]))]
internal sealed partial class WebJson : JsonSerializerContext;
