using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Paddock.Images.Text;

namespace Paddock.Cli.Native.Bench;

/// <summary>What a load came to.</summary>
/// <param name="Plan">What was done.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Latencies">Of all requests.</param>
/// <param name="Used">What this process used.</param>
/// <param name="Server">What the server used meanwhile; null where its metrics were not read.</param>
/// <param name="Unwritten">Share of what was read that is not stored, 0 to 1.</param>
internal sealed record BenchResult(
    BenchPlan Plan, double Seconds, LatencyHistogram Latencies, ProcessUse Used, ProcessUse? Server, double Unwritten)
{
    private double Iops => Latencies.Count / Seconds;

    private double MibPerSecond => Iops * Plan.BlockSize / (1 << 20);

    public void WriteText(TextWriter to)
    {
        void Line(string name, FormattableString value) => to.WriteLine($"{name + ':',-10} {value.ToString(CultureInfo.InvariantCulture)}");
        string connections = Plan.Connections == 1 ? "1 connection" : $"{Plan.Connections} connections";
        string what = $"{NameOf(Plan.Operation)} of {SizeText.Human(Plan.BlockSize)}, depth {Plan.Depth}, {connections}";
        Line("load", $"{what}{(Plan.Rate > 0 ? FormattableString.Invariant($", at {Plan.Rate:0} requests a second") : "")}");
        Line("speed", $"{Iops:0} IOPS, {MibPerSecond:0.0} MiB/s, {Latencies.Count} requests in {Seconds:0.00} s");
        Line(
            "latency",
            $"mean {Latencies.Mean / 1e3:0} us, p50 {Quantile(0.5):0} us, p99 {Quantile(0.99):0} us, p99.9 {Quantile(0.999):0} us, max {
                Latencies.Max / 1e3:0} us");
        Line("client", $"{Describe(Used)}");
        if (Server is { } server)
        {
            Line("server", $"{Describe(server)}");
        }
    }

    public void WriteJson(Stream to)
    {
        using var json = new Utf8JsonWriter(
            to, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("target", Plan.Target);
        json.WriteString("rw", NameOf(Plan.Operation));
        json.WriteNumber("block_size", Plan.BlockSize);
        json.WriteNumber("depth", Plan.Depth);
        json.WriteNumber("connections", Plan.Connections);
        json.WriteNumber("requests", Latencies.Count);
        json.WriteNumber("seconds", Math.Round(Seconds, 6));
        json.WriteNumber("iops", Math.Round(Iops, 1));
        json.WriteNumber("mib_per_second", Math.Round(MibPerSecond, 2));
        json.WriteNumber("unwritten_percent", Math.Round(Unwritten * 100));
        json.WriteStartObject("latency_us");
        json.WriteNumber("mean", Math.Round(Latencies.Mean / 1e3, 2));
        json.WriteNumber("p50", Math.Round(Quantile(0.5), 2));
        json.WriteNumber("p99", Math.Round(Quantile(0.99), 2));
        json.WriteNumber("p99_9", Math.Round(Quantile(0.999), 2));
        json.WriteNumber("max", Math.Round(Latencies.Max / 1e3, 2));
        json.WriteEndObject();
        WriteUse(json, "here", Used);
        if (Server is { } server)
        {
            WriteUse(json, "server", server);
        }

        json.WriteEndObject();
        json.Flush();
        to.WriteByte((byte)'\n');
    }

    public static string NameOf(BenchOperation operation) => operation switch
    {
        BenchOperation.RandomRead => "randread",
        BenchOperation.RandomWrite => "randwrite",
        _ => operation.ToString().ToLowerInvariant(),
    };

    private double Quantile(double share) => Latencies.Quantile(share) / 1e3;

    private string Describe(ProcessUse use) => string.Create(
        CultureInfo.InvariantCulture,
        $"{use.CpuSeconds:0.00} s of processor, {PerRequest(use.CpuSeconds * 1e6):0.00} us and {
            PerRequest(use.AllocatedBytes):0.00} bytes allocated a request");

    private double PerRequest(double all) => all / Math.Max(1, Latencies.Count);

    private void WriteUse(Utf8JsonWriter json, string name, ProcessUse use)
    {
        json.WriteStartObject(name);
        json.WriteNumber("cpu_seconds", Math.Round(use.CpuSeconds, 4));
        json.WriteNumber("cpu_us_per_request", Math.Round(PerRequest(use.CpuSeconds * 1e6), 3));
        json.WriteNumber("allocated_bytes_per_request", Math.Round(PerRequest(use.AllocatedBytes), 3));
        json.WriteEndObject();
    }
}
