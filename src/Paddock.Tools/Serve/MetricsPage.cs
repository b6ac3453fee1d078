using System.Net;
using System.Net.Sockets;
using System.Text;
using Paddock.Block;
using Paddock.Tools.Serve.Doors;

namespace Paddock.Tools.Serve;

/// <summary>Counters in the text form that Prometheus reads, at /metrics.</summary>
internal sealed class MetricsPage : IDisposable
{
    private const int ReportBatch = 4096;

    private readonly HttpListener _listener = new();
    private readonly IReadOnlyList<IDoor> _doors;
    private readonly IReadOnlyList<ServedDisk> _disks;

    public MetricsPage(IPEndPoint address, IReadOnlyList<IDoor> doors, IReadOnlyList<ServedDisk> disks)
    {
        _doors = doors;
        _disks = disks;
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
        var page = new MetricsText();
        foreach (var door in _doors)
        {
            page.Gauge("paddock_connections", "Connections of clients.", door.Connections, ("door", door.Name));
            door.WriteMetrics(page);
        }

        foreach (var disk in _disks)
        {
            await WriteDiskAsync(page, disk);
        }

        page.Gauge("process_resident_memory_bytes", "Memory of the process.", Environment.WorkingSet);
        return page.ToString();
    }

    private static async ValueTask WriteDiskAsync(MetricsText page, ServedDisk disk)
    {
        string image = disk.Node.Filename;
        page.Gauge("paddock_image_file_bytes", "Bytes that the image takes where it is stored.", Math.Max(0, disk.Node.Storage.AllocatedBytes), ("image", image));
        if (disk.Node.Device is not IZonedBlockDevice zoned)
        {
            return;
        }

        var limits = zoned.Zoned;
        page.Gauge("paddock_zones_open_limit", "Most zones that may be open; 0: no limit.", limits.MaxOpenZones, ("image", image));
        page.Gauge("paddock_zones_active_limit", "Most zones that may be active; 0: no limit.", limits.MaxActiveZones, ("image", image));
        var counts = new SortedDictionary<ZoneCondition, long>();
        var batch = new ZoneDescriptor[Math.Min(ReportBatch, limits.ZoneCount)];
        for (int done = 0, got; done < limits.ZoneCount; done += got)
        {
            got = await zoned.ReportZonesAsync(done * limits.ZoneSize, batch);
            for (int i = 0; i < got; i++)
            {
                counts[batch[i].Condition] = counts.GetValueOrDefault(batch[i].Condition) + 1;
            }

            if (got == 0)
            {
                break;
            }
        }

        foreach (var (condition, count) in counts)
        {
            page.Gauge("paddock_zones", "Zones by condition.", count, ("image", image), ("condition", condition.ToString()));
        }
    }

    private static int FreePort(IPAddress address)
    {
        using var probe = new TcpListener(address, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
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
