using System.Diagnostics;
using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Rbd;

namespace Paddock.Cli.Native.Bench;

/// <summary>`paddock bench`: how fast a disk takes requests of one kind, wherever it is.</summary>
public static class BenchVerb
{
    private const int MaxDepth = 1024, MaxConnections = 64;
    private const int Sector = 512, MaxBlock = 64 << 20;
    private const double WarnedShare = 0.1;

    /// <summary>Runs the load and prints what it came to. What a disk holds is lost where the load writes.</summary>
    /// <exception cref="ToolException">The plan does not fit the disk.</exception>
    public static async ValueTask RunAsync(BenchPlan plan, NativeConsole console, CancellationToken cancellationToken = default)
    {
        Check(plan);
        SocketThreads.Prepare();
        var nodes = new List<ImageNode>();
        try
        {
            var opener = new ImageOpener("paddock", console.Error);
            for (int i = 0; i < plan.Connections; i++)
            {
                nodes.Add(await opener.OpenAsync(plan.Target, Settings(plan)));
            }

            var result = await MeasureAsync(plan, nodes, console, cancellationToken);
            if (plan.Json)
            {
                result.WriteJson(console.OutStream);
            }
            else
            {
                result.WriteText(console.Out);
            }
        }
        finally
        {
            foreach (var node in nodes)
            {
                await node.DisposeAsync();
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
    }

    private static void Check(BenchPlan plan)
    {
        string? wrong = plan.BlockSize is < Sector or > MaxBlock || plan.BlockSize % Sector != 0
                ? $"--bs {plan.BlockSize}: expected a multiple of {Sector}, at most {MaxBlock}"
            : plan.Depth is < 1 or > MaxDepth ? $"--depth {plan.Depth}: expected 1 to {MaxDepth}"
            : plan.Connections is < 1 or > MaxConnections ? $"--connections {plan.Connections}: expected 1 to {MaxConnections}"
            : plan.Connections > 1 && !IsRemote(plan)
            ? $"--connections {plan.Connections}: '{plan.Target}' is a file; several connections require a server"
            : plan.Rate is < 0 or > 1e8 ? $"--rate {plan.Rate}: expected 0 to 100000000 requests per second"
            : plan.Time <= TimeSpan.Zero || plan.Time > TimeSpan.FromDays(1) ? "--time: expected more than 0 and at most 24h"
            : plan.WarmUp < TimeSpan.Zero || plan.WarmUp > TimeSpan.FromDays(1) ? "--warm-up: expected at most 24h"
            : null;
        if (wrong is not null)
        {
            throw new ToolException(wrong, NativeExit.Usage);
        }
    }

    private static bool IsRemote(BenchPlan plan) => NvmeName.Is(plan.Target) || plan.Target.StartsWith("nbd", StringComparison.Ordinal);

    /// <summary>Whether a request in flight needs no thread.</summary>
    private static bool IsAsynchronous(BenchPlan plan) => IsRemote(plan) || RbdTarget.IsName(plan.Target);

    private static OpenSettings Settings(BenchPlan plan)
        => new() { ReadOnly = !plan.Writes, Format = plan.Format ?? (IsRemote(plan) ? "raw" : null) };

    private static async ValueTask<BenchResult> MeasureAsync(
        BenchPlan plan, List<ImageNode> nodes, NativeConsole console, CancellationToken cancellationToken)
    {
        var zones = await PrepareAsync(plan, nodes[0].Device, console, cancellationToken);
        var offsets = nodes.Select((node, i) => OffsetsOf(plan, node.Device, zones, i)).ToList();
        double unwritten = await UnwrittenAsync(plan, nodes[0].Device, zones, offsets, console, cancellationToken);
        var streams = nodes.Select((node, i) => new BenchStream(node.Device, plan, offsets[i])).ToList();
        if (plan.WarmUp > TimeSpan.Zero)
        {
            await LoadAsync(plan with { Time = plan.WarmUp, Size = 0 }, "warm-up", streams, console, cancellationToken);
        }

        var serverBefore = plan.Metrics is null ? default : await ServerBeforeAsync(plan.Metrics, cancellationToken);
        var before = ProcessUse.OfThis();
        double seconds = await LoadAsync(plan, BenchResult.NameOf(plan.Operation), streams, console, cancellationToken);
        var used = ProcessUse.OfThis().Since(before);
        ProcessUse? server = plan.Metrics is null ? null
            : (await ProcessUse.OfServerAsync(plan.Metrics, CancellationToken.None)).Since(serverBefore);
        var all = new LatencyHistogram();
        foreach (var stream in streams)
        {
            all.Add(stream.Latencies);
        }

        return new BenchResult(plan, seconds, all, used, server, unwritten);
    }

    /// <summary>Runs all streams until the plan's time or size is used up; how many seconds that took.</summary>
    private static async Task<double> LoadAsync(
        BenchPlan plan, string what, List<BenchStream> streams, NativeConsole console, CancellationToken cancellationToken)
    {
        if (!IsAsynchronous(plan))
        {
            // requests that wait for a lock of the image end on threads of the pool, which adds threads only one by one
            ThreadPool.GetMinThreads(out int workers, out int ports);
            ThreadPool.SetMinThreads(Math.Max(workers, plan.Depth), ports);
        }

        using var pace = plan.Rate > 0 ? new BenchPace(plan.Rate) : null;
        var budget = new BenchBudget(plan, pace, cancellationToken);
        long start = pace?.Started ?? Stopwatch.GetTimestamp();
        var loads = streams.ConvertAll(s => Task.Run(() => s.RunAsync(budget, IsAsynchronous(plan)), CancellationToken.None));
        await using (new BenchProgress(plan, console, what, () => streams.Sum(s => s.Latencies.Count)))
        {
            await Task.WhenAll(loads);
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Share of what the load reads that is not stored; warns if it is large.</summary>
    private static async ValueTask<double> UnwrittenAsync(
        BenchPlan plan, IBlockDevice device, ZoneDescriptor[] zones, List<BenchOffsets> offsets, NativeConsole console,
        CancellationToken cancellationToken)
    {
        if (plan.Writes)
        {
            return 0;
        }

        bool isEmpty = zones.Length > 0 && !BenchOffsets.IsAnythingWritten(plan, zones);
        double share = isEmpty ? 1 : zones.Length > 0 ? 0 : await BenchHoles.ShareAsync(
            device, [.. offsets.SelectMany(o => o.Runs)], plan.BlockSize, cancellationToken);
        if (share >= WarnedShare)
        {
            string size = device.Length.ToString(CultureInfo.InvariantCulture);
            console.Tell(
                $"warning: {(share >= 1 ? "nothing" : $"only {(1 - share) * 100:0}%")} of the part of '{plan.Target}' that is read has "
                    + "been written, and other reads do not reach the disk. Write it first: "
                    + $"paddock bench {plan.Target} --rw write --bs 1M --size {size}");
        }

        return share;
    }

    // a page of metrics costs the server something too: as much as the second of two in a row tells, and the last one will cost that again
    private static async Task<ProcessUse> ServerBeforeAsync(string metrics, CancellationToken cancellationToken)
    {
        var first = await ProcessUse.OfServerAsync(metrics, cancellationToken);
        var second = await ProcessUse.OfServerAsync(metrics, cancellationToken);
        return second.Plus(second.Since(first));
    }

    /// <summary>Reports the zones, where there are some; those that will be written are empty afterwards.</summary>
    private static async ValueTask<ZoneDescriptor[]> PrepareAsync(
        BenchPlan plan, IBlockDevice device, NativeConsole console, CancellationToken cancellationToken)
    {
        if (device.Zones is not { } zoned)
        {
            return plan.Operation == BenchOperation.Append
                ? throw new ToolException($"'{plan.Target}' has no zones: --rw append requires a zoned disk") : [];
        }

        if (plan.Operation == BenchOperation.RandomWrite)
        {
            throw new ToolException("--rw randwrite: zones are written sequentially; use write or append");
        }

        if (plan.Writes)
        {
            console.ProgressLine("resetting all zones");
            await zoned.ManageAsync(ZoneAction.Reset, 0, device.Length, cancellationToken);
        }

        var zones = new ZoneDescriptor[zoned.Limits.ZoneCount];
        int got = await zoned.ReportAsync(0, zones, cancellationToken);
        return zones[..got];
    }

    private static BenchOffsets OffsetsOf(BenchPlan plan, IBlockDevice device, ZoneDescriptor[] zones, int index)
        => new(plan, zones.Length == 0 ? BenchOffsets.OfDisk(plan, device.Length, index)
            : plan.Writes ? BenchOffsets.ToWrite(plan, zones, index)
            : BenchOffsets.ToRead(plan, zones, device.Length, index), index);
}
