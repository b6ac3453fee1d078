using Paddock.Block;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;
using Paddock.Server.Standby;
using Paddock.Serving;

namespace Paddock.Server.Metrics;

/// <summary>The metrics page of the server.</summary>
internal sealed class MetricsPage(IReadOnlyList<IListener> listeners, IReadOnlyList<ServedDisk> disks, SlabPool buffers, long maxMemory)
{
    private const int ReportBatch = 4096;

    /// <summary>The page.</summary>
    public async ValueTask<string> RenderAsync()
    {
        var page = new MetricsText();
        foreach (var listener in listeners)
        {
            page.Gauge("paddock_connections", "Current client connections.", listener.Connections, ("listener", listener.Name));
            listener.WriteMetrics(page);
        }

        foreach (var disk in disks)
        {
            try
            {
                WriteStorage(page, disk);
                await WriteZonesAsync(page, disk);
            }
            catch (ObjectDisposedException)
            {
                // an NVMe host deletes its namespace
            }
            catch (BlockException e) when (e.Error == BlockError.NotOwner)
            {
                // another server has taken the image over meanwhile
            }
        }

        page.Gauge("paddock_buffer_bytes", "Memory in use for request data.", buffers.Lent);
        page.Gauge("paddock_buffer_limit_bytes", "Maximum memory for request data (--max-memory).", maxMemory);
        ProcessMetrics.Write(page);
        return page.ToString();
    }

    private void WriteStorage(MetricsText page, ServedDisk disk)
    {
        string image = disk.Name;
        long stored = disk.Written.BytesWritten, asked = listeners.Sum(d => d.BytesWritten(disk));
        page.Gauge("paddock_image_file_bytes", "Space allocated by the image file.", disk.FileBytes, ("image", image));
        page.Gauge(
            "paddock_disk_active", "Whether this server serves the data of the disk: 1, or 0 on standby or after a loss.",
            disk.State == DiskState.Active ? 1 : 0, ("image", image));
        page.Counter("paddock_image_client_written_bytes_total", "Bytes written to the image by clients.", asked, ("image", image));
        page.Counter("paddock_image_written_bytes_total", "Bytes written to the image file, including metadata.", stored, ("image", image));
        page.Counter("paddock_image_writes_total", "Writes to the image file.", disk.Written[ServedOperation.Write], ("image", image));
        page.Counter("paddock_image_flushes_total", "Flushes of the image file.", disk.Written[ServedOperation.Flush], ("image", image));
        if (asked > 0)
        {
            page.Gauge("paddock_image_write_amplification", "Bytes written to the image file per byte written by clients.",
                (double)stored / asked, ("image", image));
        }
    }

    private static async ValueTask WriteZonesAsync(MetricsText page, ServedDisk disk)
    {
        if (disk.State != DiskState.Active || disk.Served.ZonesWithoutFaults is not { } zoned)
        {
            return;
        }

        var (limits, image) = (zoned.Limits, disk.Name);
        long[] counts = new long[(int)ZoneCondition.Offline + 1];
        var batch = new ZoneDescriptor[Math.Min(ReportBatch, limits.ZoneCount)];
        int got;
        for (int done = 0; done < limits.ZoneCount; done += got)
        {
            got = await zoned.ReportAsync(done * limits.ZoneSize, batch);
            foreach (var zone in batch.AsSpan(0, got))
            {
                counts[(int)zone.Condition]++;
            }

            if (got == 0)
            {
                break;
            }
        }

        foreach (var condition in Enum.GetValues<ZoneCondition>())
        {
            page.Gauge("paddock_zones", "Zones by condition.", counts[(int)condition], ("image", image),
                ("condition", condition.ToString()));
        }

        long open = counts[(int)ZoneCondition.ImplicitlyOpen] + counts[(int)ZoneCondition.ExplicitlyOpen];
        page.Gauge("paddock_zones_open", "Open zones.", open, ("image", image));
        page.Gauge("paddock_zones_active", "Active zones.", open + counts[(int)ZoneCondition.Closed], ("image", image));
        page.Gauge("paddock_zones_open_limit", "Maximum number of open zones; 0: no limit.", limits.MaxOpenZones, ("image", image));
        page.Gauge("paddock_zones_active_limit", "Maximum number of active zones; 0: no limit.", limits.MaxActiveZones, ("image", image));
    }
}
