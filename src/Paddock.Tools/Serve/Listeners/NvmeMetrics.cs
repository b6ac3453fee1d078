using System.Globalization;
using Paddock.Block.Serving;
using Paddock.Nvme;

namespace Paddock.Tools.Serve.Listeners;

/// <summary>What the NVMe target counts, as metrics.</summary>
internal static class NvmeMetrics
{
    /// <summary>
    /// Zones of a namespace that have samples of their own: those with traffic, the lowest first. A disk of a million zones would make a page
    /// of many megabytes; what is left out is counted.
    /// </summary>
    public const int MaxZones = 4096;

    private static readonly RequestKind[] _namespaceKinds =
    [
        new("read", ServedOperation.Read),
        new("write", ServedOperation.Write, ServedOperation.Append, ServedOperation.Zeroes),
        new("other", ServedOperation.Flush, ServedOperation.Zone, ServedOperation.Trim, ServedOperation.Other),
    ];

    public static void Write(MetricsText page, NvmeTarget target, NvmeTcpServer server)
    {
        foreach (var subsystem in target.Subsystems)
        {
            foreach (var ns in subsystem.Namespaces)
            {
                WriteNamespace(page, subsystem.Nqn, ns);
                WriteZones(page, subsystem.Nqn, ns);
            }
        }

        foreach (var queue in server.Connections.Where(q => q.Host.Length > 0))
        {
            var (host, controller, id) = (("host", queue.Host), ("controller", Text(queue.Controller)), ("queue", Text(queue.Queue)));
            page.Counter("paddock_nvme_queue_commands_total", "Commands that a queue completed.", queue.Latencies.Requests, host, controller, id);
            page.Counter(
                "paddock_nvme_queue_seconds_total", "Time that the commands of a queue took together.",
                queue.Latencies.Total.TotalSeconds, host, controller, id);
        }

        RequestMetrics.WriteLatencies(
            page, "paddock_nvme_latency_seconds", "From an NVMe command's arrival to its answer.", server.Latencies,
            [.. RequestMetrics.DiskKinds, new("admin", ServedOperation.Admin)]);
        page.Counter("paddock_nvme_pdus_received_total", "PDUs that NVMe hosts sent.", server.Pdus);
        page.Counter("paddock_nvme_connections_accepted_total", "Connections that NVMe hosts made.", server.Accepted);
    }

    private static void WriteNamespace(MetricsText page, string nqn, NvmeNamespace ns)
    {
        var (subsystem, id, s) = (("nqn", nqn), ("namespace", Text((long)ns.Id)), ns.Statistics);
        foreach (var (kind, operations) in _namespaceKinds)
        {
            page.Counter("paddock_nvme_commands_total", "NVMe commands that succeeded.", s.Sum(operations), subsystem, id, ("kind", kind));
        }

        page.Counter("paddock_nvme_command_errors_total", "NVMe commands that failed.", s.Errors, subsystem, id);
        page.Counter("paddock_nvme_bytes_total", "Bytes that NVMe hosts moved.", s.BytesRead, subsystem, id, ("kind", "read"));
        page.Counter("paddock_nvme_bytes_total", "Bytes that NVMe hosts moved.", s.BytesWritten, subsystem, id, ("kind", "write"));
    }

    private static void WriteZones(MetricsText page, string nqn, NvmeNamespace ns)
    {
        var (subsystem, id, s) = (("nqn", nqn), ("namespace", Text((long)ns.Id)), ns.ZoneTraffic);
        int shown = 0;
        long left = 0;
        for (int zone = 0; zone < s.ZoneCount; zone++)
        {
            var (written, resets) = s[zone];
            if (written == 0 && resets == 0)
            {
                continue;
            }

            if (shown++ >= MaxZones)
            {
                left++;
                continue;
            }

            var number = ("zone", Text(zone));
            page.Counter("paddock_zone_written_bytes_total", "Bytes that NVMe hosts wrote to a zone.", written, subsystem, id, number);
            page.Counter("paddock_zone_resets_total", "How often NVMe hosts reset a zone.", resets, subsystem, id, number);
        }

        if (s.ZoneCount > 0)
        {
            page.Gauge("paddock_zones_left_out", "Zones with traffic beyond those that have samples.", left, subsystem, id);
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
