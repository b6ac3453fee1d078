using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Paddock.Server.Metrics;

/// <summary>
/// Metrics of the process: under the names of OpenTelemetry's conventions as Prometheus writes them, and those that Prometheus's own
/// libraries have. Former names of ours, without a convention behind them, stay for one release.
/// </summary>
internal static class ProcessMetrics
{
    private static readonly double StartTime = StartedAt();

    public static void Write(MetricsText page)
    {
        page.Gauge(
            "paddock_build_info", "Version of this build; the value is 1.", 1, ("version", BuildInfo.Version),
            ("revision", BuildInfo.Revision), ("runtime", RuntimeInformation.FrameworkDescription));
        page.Gauge("process_start_time_seconds", "Start of the process, in seconds since 1970 (UTC).", StartTime);
        WriteUse(page);
        WriteCollector(page);
    }

    private static void WriteUse(MetricsText page)
    {
        var cpu = Environment.CpuUsage;
        const string Time = "process_cpu_time_seconds_total", TimeHelp = "CPU time of the process (process.cpu.time).";
        page.Counter(Time, TimeHelp, cpu.UserTime.TotalSeconds, ("cpu_mode", "user"));
        page.Counter(Time, TimeHelp, cpu.PrivilegedTime.TotalSeconds, ("cpu_mode", "system"));
        page.Gauge("process_memory_usage_bytes", "Resident memory of the process (process.memory.usage).", Environment.WorkingSet);

        // the names that dashboards for Prometheus expect
        page.Gauge("process_resident_memory_bytes", "Resident memory of the process.", Environment.WorkingSet);
        page.Counter("process_cpu_seconds_total", "User and system CPU time of the process.", cpu.TotalTime.TotalSeconds);
    }

    private static void WriteCollector(MetricsText page)
    {
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        page.Gauge("dotnet_heap_bytes", "Managed memory in use.", GC.GetTotalMemory(forceFullCollection: false));
        page.Counter(
            "dotnet_gc_heap_total_allocated_bytes_total", "Total managed memory allocated (dotnet.gc.heap.total_allocated).", allocated);
        page.Counter(
            "dotnet_total_allocated_bytes_total", "Former name of dotnet_gc_heap_total_allocated_bytes_total.", allocated);
        for (int generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            string number = generation.ToString(CultureInfo.InvariantCulture);
            int count = GC.CollectionCount(generation);
            page.Counter(
                "dotnet_gc_collections_total", "Garbage collections (dotnet.gc.collections).", count,
                ("gc_heap_generation", "gen" + number));
            page.Counter("dotnet_collections_total", "Former name of dotnet_gc_collections_total.", count, ("generation", number));
        }
    }

    private static double StartedAt()
    {
        using var process = Process.GetCurrentProcess();
        return new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeMilliseconds() / 1000.0;
    }
}
