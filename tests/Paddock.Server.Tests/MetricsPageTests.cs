using System.Text.Json;
using System.Text.RegularExpressions;

namespace Paddock.Server.Tests;

public partial class MetricsPageTests
{
    [Fact]
    public async Task Build_and_start_of_the_process_are_metrics()
    {
        await using var server = await TestServer.StartAsync();
        var page = await server.MetricsAsync();
        Assert.Contains(page.Samples, s => s.Key.StartsWith("paddock_build_info{version=\"", StringComparison.Ordinal) && s.Value == 1);
        Assert.InRange(page["process_start_time_seconds"], 1_500_000_000, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 1);
        Assert.True(page["process_cpu_time_seconds_total{cpu_mode=\"user\"}"] > 0);
        Assert.Equal(
            page["dotnet_gc_heap_total_allocated_bytes_total"], page["dotnet_total_allocated_bytes_total"]);
    }

    [Fact]
    public async Task Every_metric_of_the_dashboard_exists()
    {
        await using var server = await TestServer.StartAsync();
        var page = await server.MetricsAsync();
        string[] known = [.. page.Samples.Keys.Select(sample => sample.Split('{')[0]).Distinct()];
        string[] named = [.. Expressions(Dashboard()).SelectMany(e => Metric().Matches(e)).Select(m => m.Value).Distinct()];
        Assert.True(named.Length > 15, $"{named.Length}");
        Assert.Empty(named.Except(known));
    }

    private static JsonElement Dashboard()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Paddock.slnx")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new FileNotFoundException("Paddock.slnx");
        }

        return JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "docs/grafana/paddock.json"))).RootElement;
    }

    private static IEnumerable<string> Expressions(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => json.EnumerateObject().SelectMany(
            p => p.Name is "expr" or "definition" ? [p.Value.GetString()!] : Expressions(p.Value)),
        JsonValueKind.Array => json.EnumerateArray().SelectMany(Expressions),
        _ => [],
    };

    [GeneratedRegex(@"\b(paddock|process|dotnet)_[a-z0-9_]+")]
    private static partial Regex Metric();
}
