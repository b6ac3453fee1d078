using Paddock.Server.Metrics;
using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>A value of the label <c>kind</c>, and the operations that it stands for.</summary>
internal sealed record RequestKind(string Name, params ServedOperation[] Operations);

/// <summary>What all servers count of requests, as metrics.</summary>
internal static class RequestMetrics
{
    /// <summary>The kinds of requests to a disk, zoned or not.</summary>
    public static IReadOnlyList<RequestKind> DiskKinds { get; } =
    [
        new("read", ServedOperation.Read),
        new("write", ServedOperation.Write),
        new("append", ServedOperation.Append),
        new("flush", ServedOperation.Flush),
        new("zone", ServedOperation.Zone),
        new("other", ServedOperation.Trim, ServedOperation.Zeroes, ServedOperation.Other),
    ];

    /// <summary>Writes histograms of latencies, one for each kind of request.</summary>
    public static void WriteLatencies(
        MetricsText page, string name, string help, LatencyTable table, IReadOnlyList<RequestKind> kinds,
        params ReadOnlySpan<(string Name, string Value)> labels)
    {
        foreach (var (kind, operations) in kinds)
        {
            page.Histogram(
                name, help, [.. LatencyTable.Bounds], table.CountsOf(operations), table.SumOf(operations).TotalSeconds,
                [.. labels, ("kind", kind)]);
        }
    }
}
