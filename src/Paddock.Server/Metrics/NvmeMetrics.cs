using System.Globalization;
using Paddock.Nvme;
using Paddock.Server.Listeners;
using Paddock.Serving;

namespace Paddock.Server.Metrics;

/// <summary>Metrics of the NVMe target.</summary>
internal static class NvmeMetrics
{
    /// <summary>
    /// Maximum number of zones per namespace with samples of their own: those with traffic, lowest index first. A disk with a million zones
    /// would make a page of many megabytes; the zones left out are counted.
    /// </summary>
    public const int MaxZones = 4096;

    private static readonly RequestKind[] _namespaceKinds =
    [
        new("read", ServedOperation.Read),
        new("write", ServedOperation.Write, ServedOperation.Append, ServedOperation.Zeroes),
        new("other", ServedOperation.Flush, ServedOperation.Zone, ServedOperation.Trim, ServedOperation.Other),
    ];

    /// <summary>Writes what is counted of namespaces, over all transports.</summary>
    public static void WriteNamespaces(MetricsText page, NvmeTarget target)
    {
        foreach (var subsystem in target.Subsystems)
        {
            foreach (var ns in subsystem.Namespaces)
            {
                WriteNamespace(page, subsystem.Nqn, ns);
                WriteZones(page, subsystem.Nqn, ns);
            }
        }
    }

    /// <summary>Writes what is counted of connections over TCP.</summary>
    public static void WriteTcp(MetricsText page, NvmeTcpServer server)
    {
        foreach (var queue in server.Connections.Where(q => q.Host.Length > 0))
        {
            var (host, controller, id) = (("host", queue.Host), ("controller", Text(queue.Controller)), ("queue", Text(queue.Queue)));
            page.Counter(
                "paddock_nvme_queue_commands_total", "Commands completed by a queue.", queue.Latencies.Requests, host, controller, id);
            page.Counter(
                "paddock_nvme_queue_seconds_total", "Total latency of the commands of a queue.",
                queue.Latencies.Total.TotalSeconds, host, controller, id);
        }

        RequestMetrics.WriteLatencies(
            page, "paddock_nvme_latency_seconds", "Time from the arrival of an NVMe command to its completion.", server.Latencies,
            [.. RequestMetrics.DiskKinds, new("admin", ServedOperation.Admin)]);
        page.Counter("paddock_nvme_pdus_received_total", "PDUs received from NVMe hosts.", server.Pdus);
        page.Counter("paddock_nvme_connections_accepted_total", "NVMe/TCP connections accepted.", server.Accepted);
    }

    private static void WriteNamespace(MetricsText page, string nqn, NvmeNamespace ns)
    {
        var (subsystem, id, s) = (("nqn", nqn), ("namespace", Text((long)ns.Id)), ns.Statistics);
        foreach (var (kind, operations) in _namespaceKinds)
        {
            page.Counter("paddock_nvme_commands_total", "Successful NVMe commands.", s.Sum(operations), subsystem, id, ("kind", kind));
        }

        page.Counter("paddock_nvme_command_errors_total", "Failed NVMe commands.", s.Errors, subsystem, id);
        page.Counter("paddock_nvme_bytes_total", "Bytes read and written by NVMe hosts.", s.BytesRead, subsystem, id, ("kind", "read"));
        page.Counter("paddock_nvme_bytes_total", "Bytes read and written by NVMe hosts.", s.BytesWritten, subsystem, id, ("kind", "write"));
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
            page.Counter("paddock_zone_written_bytes_total", "Bytes written to a zone by NVMe hosts.", written, subsystem, id, number);
            page.Counter("paddock_zone_resets_total", "Resets of a zone by NVMe hosts.", resets, subsystem, id, number);
        }

        if (s.ZoneCount > 0)
        {
            page.Gauge("paddock_zones_left_out", "Zones with traffic that have no samples of their own.", left, subsystem, id);
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
