using System.Globalization;
using Paddock.Nvme;

namespace Paddock.Tools.Serve.Doors;

/// <summary>What the NVMe target counts, as metrics.</summary>
internal static class NvmeMetrics
{
    // a disk of a million zones would make a page of many megabytes
    private const int MaxZones = 4096;

    private static readonly double[] Bounds = [.. Enumerable.Range(0, QueueStatistics.LatencyClasses - 1).Select(i => Math.Pow(2, i) / 1e6)];

    public static void Write(MetricsText page, NvmeTarget target, NvmeTcpServer server)
    {
        foreach (var subsystem in target.Subsystems)
        {
            foreach (var ns in subsystem.Namespaces)
            {
                WriteNamespace(page, subsystem.Nqn, ns);
            }
        }

        foreach (var queue in server.Connections)
        {
            WriteQueue(page, queue);
        }

        page.Gauge("paddock_nvme_buffer_bytes", "Bytes in buffers of NVMe connections.", target.BytesInMemory);
    }

    private static void WriteNamespace(MetricsText page, string nqn, NvmeNamespace ns)
    {
        string id = ns.Id.ToString(CultureInfo.InvariantCulture);
        var s = ns.Statistics;
        foreach (var (kind, count) in new[] { ("read", s.Reads), ("write", s.Writes), ("other", s.Others) })
        {
            page.Counter("paddock_nvme_commands_total", "NVMe commands that succeeded.", count, ("nqn", nqn), ("namespace", id), ("kind", kind));
        }

        page.Counter("paddock_nvme_command_errors_total", "NVMe commands that failed.", s.Errors, ("nqn", nqn), ("namespace", id));
        page.Counter("paddock_nvme_bytes_total", "Bytes that NVMe hosts moved.", s.BytesRead, ("nqn", nqn), ("namespace", id), ("kind", "read"));
        page.Counter("paddock_nvme_bytes_total", "Bytes that NVMe hosts moved.", s.BytesWritten, ("nqn", nqn), ("namespace", id), ("kind", "write"));
        int shown = 0;
        for (int zone = 0; zone < s.ZoneCount && shown < MaxZones; zone++)
        {
            var (written, resets) = s.OfZone(zone);
            if (written != 0 || resets != 0)
            {
                string number = zone.ToString(CultureInfo.InvariantCulture);
                page.Counter(
                    "paddock_zone_written_bytes_total", "Bytes written to a zone.", written, ("nqn", nqn), ("namespace", id), ("zone", number));
                page.Counter(
                    "paddock_zone_resets_total", "How often a zone was reset.", resets, ("nqn", nqn), ("namespace", id), ("zone", number));
                shown++;
            }
        }
    }

    private static void WriteQueue(MetricsText page, ConnectionInfo queue)
    {
        long[] counts = [.. Enumerable.Range(0, QueueStatistics.LatencyClasses).Select(queue.Statistics.InClass)];
        page.Histogram(
            "paddock_nvme_latency_seconds", "From a command's arrival to its answer.", Bounds, counts, queue.Statistics.TotalLatency.TotalSeconds,
            ("host", queue.Host), ("controller", queue.Controller.ToString(CultureInfo.InvariantCulture)),
            ("queue", queue.Queue.ToString(CultureInfo.InvariantCulture)));
    }
}
