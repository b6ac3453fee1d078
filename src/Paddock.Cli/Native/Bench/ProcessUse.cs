using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Paddock.Images;

namespace Paddock.Cli.Native.Bench;

/// <summary>What a process has used so far.</summary>
/// <param name="CpuSeconds">Processor time.</param>
/// <param name="AllocatedBytes">Managed memory that was allocated, whether it is free again or not.</param>
internal readonly record struct ProcessUse(double CpuSeconds, double AllocatedBytes)
{
    /// <summary>Names of the two in a server's metrics.</summary>
    public const string CpuMetric = "process_cpu_seconds_total", AllocatedMetric = "dotnet_total_allocated_bytes_total";

    /// <summary>This process.</summary>
    public static ProcessUse OfThis() => new(Environment.CpuUsage.TotalTime.TotalSeconds, GC.GetTotalAllocatedBytes(precise: true));

    /// <summary>What was used since an earlier moment.</summary>
    public ProcessUse Since(ProcessUse before) => new(CpuSeconds - before.CpuSeconds, AllocatedBytes - before.AllocatedBytes);

    /// <summary>This and that together.</summary>
    public ProcessUse Plus(ProcessUse other) => new(CpuSeconds + other.CpuSeconds, AllocatedBytes + other.AllocatedBytes);

    /// <summary>A server, by its metrics page.</summary>
    /// <exception cref="ToolException">It cannot be read, or does not tell.</exception>
    public static async Task<ProcessUse> OfServerAsync(string address, CancellationToken cancellationToken)
    {
        if (!IPEndPoint.TryParse(address, out var at))
        {
            throw new ToolException($"--metrics '{address}': expected IP-ADDRESS:PORT", NativeExit.Usage);
        }

        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(at, cancellationToken);
            await using var stream = client.GetStream();
            await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(
                $"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"), cancellationToken);
            using var reader = new StreamReader(stream);
            string page = await reader.ReadToEndAsync(cancellationToken);
            return new ProcessUse(ValueOf(page, CpuMetric), ValueOf(page, AllocatedMetric));
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            throw new ToolException($"cannot read metrics from {address}: {e.Message}");
        }
    }

    private static double ValueOf(string page, string name)
    {
        int at = page.IndexOf("\n" + name + " ", StringComparison.Ordinal);
        int start = at + name.Length + 2, end = at < 0 ? -1 : page.IndexOf('\n', start);
        return end > 0 && double.TryParse(page.AsSpan(start, end - start), CultureInfo.InvariantCulture, out double value)
            ? value
            : throw new ToolException($"the metrics of the server do not contain {name}");
    }
}
