using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Tools.Serve;

/// <summary>Counters in the text form that Prometheus reads, at /metrics.</summary>
internal sealed class MetricsPage : IDisposable
{
    // a disk of a million zones would make a page of many megabytes
    private const int MaxZones = 4096;

    private readonly HttpListener _listener = new();
    private readonly NvmeTarget _target;
    private readonly NvmeTcpServer? _server;
    private readonly IReadOnlyList<ImageNode> _images;

    public MetricsPage(IPEndPoint address, NvmeTarget target, NvmeTcpServer? server, IReadOnlyList<ImageNode> images)
    {
        _target = target;
        _server = server;
        _images = images;
        Address = address.Port != 0 ? address : new IPEndPoint(address.Address, FreePort(address.Address));
        _listener.Prefixes.Add($"http://{Address}/");
        try
        {
            _listener.Start();
        }
        catch (HttpListenerException e)
        {
            throw new ToolException($"cannot serve metrics at {Address}: {e.Message}");
        }

        _ = Task.Run(RunAsync);
    }

    public IPEndPoint Address { get; }

    public void Dispose() => _listener.Close();

    /// <summary>The page.</summary>
    internal async ValueTask<string> RenderAsync()
    {
        var page = new StringBuilder();
        foreach (var subsystem in _target.Subsystems)
        {
            foreach (var ns in subsystem.Namespaces)
            {
                await WriteNamespaceAsync(page, subsystem.Nqn, ns);
            }
        }

        foreach (var queue in _server?.Connections ?? [])
        {
            WriteQueue(page, queue);
        }

        foreach (var image in _images)
        {
            page.Append($"paddock_image_file_bytes{{image=\"{Escape(image.Filename)}\"}} {Math.Max(0, image.Storage.AllocatedBytes)}\n");
        }

        page.Append($"paddock_nvme_buffer_bytes {_target.BytesInMemory}\n");
        page.Append($"process_resident_memory_bytes {Environment.WorkingSet}\n");
        page.Append(CultureInfo.InvariantCulture, $"process_cpu_seconds_total {Environment.CpuUsage.TotalTime.TotalSeconds}\n");
        page.Append($"dotnet_total_allocated_bytes_total {GC.GetTotalAllocatedBytes(precise: true)}\n");
        return page.ToString();
    }

    private static int FreePort(IPAddress address)
    {
        using var probe = new TcpListener(address, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static string Escape(string text)
        => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static async ValueTask WriteNamespaceAsync(StringBuilder page, string nqn, NvmeNamespace ns)
    {
        string labels = $"nqn=\"{Escape(nqn)}\",namespace=\"{ns.Id}\"";
        var s = ns.Statistics;
        page.Append($"paddock_nvme_commands_total{{{labels},kind=\"read\"}} {s.Reads}\n");
        page.Append($"paddock_nvme_commands_total{{{labels},kind=\"write\"}} {s.Writes}\n");
        page.Append($"paddock_nvme_commands_total{{{labels},kind=\"other\"}} {s.Others}\n");
        page.Append($"paddock_nvme_command_errors_total{{{labels}}} {s.Errors}\n");
        page.Append($"paddock_nvme_bytes_total{{{labels},kind=\"read\"}} {s.BytesRead}\n");
        page.Append($"paddock_nvme_bytes_total{{{labels},kind=\"write\"}} {s.BytesWritten}\n");
        if (ns.Zoned is not { } zoned)
        {
            return;
        }

        var zones = new ZoneDescriptor[zoned.Zoned.ZoneCount];
        int got = await zoned.ReportZonesAsync(0, zones);
        foreach (var group in zones.Take(got).GroupBy(z => z.Condition))
        {
            page.Append($"paddock_zones{{{labels},condition=\"{group.Key}\"}} {group.Count()}\n");
        }

        page.Append($"paddock_zones_open_limit{{{labels}}} {zoned.Zoned.MaxOpenZones}\n");
        page.Append($"paddock_zones_active_limit{{{labels}}} {zoned.Zoned.MaxActiveZones}\n");
        for (int zone = 0; zone < Math.Min(s.ZoneCount, MaxZones); zone++)
        {
            var (written, resets) = s.OfZone(zone);
            if (written != 0 || resets != 0)
            {
                page.Append($"paddock_zone_written_bytes_total{{{labels},zone=\"{zone}\"}} {written}\n");
                page.Append($"paddock_zone_resets_total{{{labels},zone=\"{zone}\"}} {resets}\n");
            }
        }
    }

    private static void WriteQueue(StringBuilder page, ConnectionInfo queue)
    {
        string labels = $"host=\"{Escape(queue.Host)}\",controller=\"{queue.Controller}\",queue=\"{queue.Queue}\"";
        long below = 0;
        for (int i = 0; i < QueueStatistics.LatencyClasses - 1; i++)
        {
            below += queue.Statistics.InClass(i);
            page.Append(CultureInfo.InvariantCulture,
                $"paddock_nvme_latency_seconds_bucket{{{labels},le=\"{Math.Pow(2, i) / 1e6}\"}} {below}\n");
        }

        page.Append($"paddock_nvme_latency_seconds_bucket{{{labels},le=\"+Inf\"}} {queue.Statistics.Commands}\n");
        page.Append(CultureInfo.InvariantCulture,
            $"paddock_nvme_latency_seconds_sum{{{labels}}} {queue.Statistics.TotalLatency.TotalSeconds}\n");
        page.Append($"paddock_nvme_latency_seconds_count{{{labels}}} {queue.Statistics.Commands}\n");
    }

    private async Task RunAsync()
    {
        while (_listener.IsListening)
        {
            try
            {
                var context = await _listener.GetContextAsync();
                bool found = context.Request.Url?.AbsolutePath == "/metrics";
                byte[] body = Encoding.UTF8.GetBytes(found ? await RenderAsync() : "see /metrics\n");
                context.Response.StatusCode = found ? 200 : 404;
                context.Response.ContentType = "text/plain; version=0.0.4";
                await context.Response.OutputStream.WriteAsync(body);
                context.Response.Close();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or InvalidOperationException or IOException)
            {
                // that reader left, or the server stops
            }
        }
    }
}
