using System.Diagnostics;
using System.Globalization;

namespace Paddock.Handover;

/// <summary>How an image changes its server.</summary>
public enum HandoverKind
{
    /// <summary><c>paddock handover</c>.</summary>
    Planned,

    /// <summary>SIGKILL of the server.</summary>
    Killed,

    /// <summary>SIGSTOP of the server, and SIGCONT later.</summary>
    Stopped,

    /// <summary>SIGKILL of the server while it hands over.</summary>
    Interrupted,
}

/// <summary>One hand-over.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Time">From then until the first answer.</param>
/// <param name="IsMoved">Whether another server answered.</param>
public readonly record struct HandoverTime(HandoverKind Kind, TimeSpan Time, bool IsMoved);

/// <summary>What a lane has seen.</summary>
/// <param name="Times">Each hand-over.</param>
/// <param name="Requests">Requests that were answered.</param>
/// <param name="Verified">How often the whole disk was compared.</param>
/// <param name="LookedUp">Appends without an answer that were found on the disk.</param>
public sealed record LaneResult(IReadOnlyList<HandoverTime> Times, long Requests, int Verified, int LookedUp);

/// <summary>Hands one image over between two servers, while a client works and verifies.</summary>
public static class Lane
{
    /// <summary>Name of the subsystem.</summary>
    internal const string Nqn = "nqn.2026-01.io.paddock:handover";

    private const int Zone = 1 << 20, Conventional = 3, Sequential = 10;
    private const int MinThreads = 64, LeastLoad = 100, MostLoad = 700, MostStop = 4000, MostHandover = 120;

    private static readonly TimeSpan StaleTime = TimeSpan.FromMilliseconds(500);

    /// <summary>Creates the image, starts the servers, and hands over.</summary>
    /// <exception cref="HandoverException">Data is lost or there twice, or nobody answers; the message names the seed.</exception>
    public static async Task<LaneResult> RunAsync(HandoverOptions options)
    {
        Directory.CreateDirectory(options.Folder);

        // a server that is stopped holds the threads that have connected to it
        ThreadPool.SetMinThreads(MinThreads, MinThreads);
        await CreateAsync(options);
        await using var one = new ServerNode(options, 1);
        await using var two = new ServerNode(options, 2);
        ServerNode[] nodes = [one, two];
        await one.StartAsync();
        await two.StartAsync();
        await using var client = new VerifyingClient(options, nodes, Conventional * Zone / Pattern.Block, Sequential, Zone);
        var times = new List<HandoverTime>();
        try
        {
            var random = new Random(options.Seed);
            for (int i = 0; i < options.Count; i++)
            {
                var kind = KindOf(options, i);
                times.Add(await HandOverAsync(options, kind, nodes, client, random));
                var (_, time, isMoved) = times[^1];
                options.Report?.Invoke(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{TimeProvider.System.GetUtcNow():HH:mm:ss.fff} seed {options.Seed}, {i + 1}: {kind}, {time.TotalMilliseconds:0} ms"
                    + $"{(isMoved ? "" : ", same server")}"));
            }

            await client.SettledAsync();
            await client.FinishAsync();
            return new LaneResult(times, client.Requests, client.Verified, client.LookedUp);
        }
        catch (HandoverException e)
        {
            throw new HandoverException(
                $"seed {options.Seed}, hand-over {times.Count + 1} ({KindOf(options, times.Count)}): {e.Message}; logs in "
                + options.Folder);
        }
    }

    private static HandoverKind KindOf(HandoverOptions options, int index) => options.Kinds[index % options.Kinds.Count];

    private static async Task<HandoverTime> HandOverAsync(
        HandoverOptions options, HandoverKind kind, ServerNode[] nodes, VerifyingClient client, Random random)
    {
        var active = await client.SettledAsync();
        var other = nodes.Single(n => n != active);
        await other.ReachAsync("standby");
        await Task.Delay(random.Next(LeastLoad, MostLoad));
        var time = kind switch
        {
            HandoverKind.Planned => await PlannedAsync(options, active, client),
            HandoverKind.Killed => await KilledAsync(options, active, client),
            HandoverKind.Interrupted => await InterruptedAsync(options, active, client, random),
            _ => await StoppedAsync(options, active, client, random),
        };
        await (options.SeveralPaths ? client.RecheckAsync() : Task.CompletedTask);
        var now = await client.SettledAsync();
        if (kind == HandoverKind.Stopped && now != active)
        {
            await client.ProbeStaleAsync(active, StaleTime);
        }

        return new HandoverTime(kind, time, now != active);
    }

    private static async Task<TimeSpan> PlannedAsync(HandoverOptions options, ServerNode active, VerifyingClient client)
    {
        await MarkAsync(options, client, keepsAll: true, async () =>
        {
            string answer = await active.HandOverAsync();
            if (!answer.StartsWith("ok", StringComparison.Ordinal))
            {
                throw new HandoverException($"the server does not hand over: {answer}");
            }
        });
        return await client.AnsweredAsync();
    }

    private static async Task<TimeSpan> InterruptedAsync(
        HandoverOptions options, ServerNode active, VerifyingClient client, Random random)
    {
        await MarkAsync(options, client, options.WriteThrough, async () =>
        {
            var answer = active.HandOverAsync();
            await Task.Delay(random.Next(MostHandover));
            await active.KillAsync();
            await answer.ContinueWith(static a => a.Exception, TaskScheduler.Default);
        });
        var time = await client.AnsweredAsync();
        await active.StartAsync();
        return time;
    }

    private static async Task<TimeSpan> KilledAsync(HandoverOptions options, ServerNode active, VerifyingClient client)
    {
        await MarkAsync(options, client, options.WriteThrough, active.KillAsync);
        var time = await client.AnsweredAsync();
        await active.StartAsync();
        return time;
    }

    // through several paths, any connection may answer: then only answers to what is sent after the end of the action count
    private static async Task MarkAsync(HandoverOptions options, VerifyingClient client, bool keepsAll, Func<Task> action)
    {
        long since = Stopwatch.GetTimestamp();
        client.Mark(keepsAll, reconnected: true, since);
        await action();
        if (options.SeveralPaths)
        {
            client.Mark(keepsAll, reconnected: false, since);
        }
    }

    private static async Task<TimeSpan> StoppedAsync(HandoverOptions options, ServerNode active, VerifyingClient client, Random random)
    {
        long since = Stopwatch.GetTimestamp();
        await active.SignalAsync("STOP");
        client.Mark(keepsAll: options.StoppedKeepsIt || options.WriteThrough, reconnected: false, since);
        var answered = client.AnsweredAsync();
        var resumed = Task.Delay(random.Next(MostStop));
        if (!options.StoppedKeepsIt && random.Next(2) == 0)
        {
            // the old owner comes back when somebody else has the image
            await Task.WhenAll(answered, resumed);
        }

        await resumed;
        await active.SignalAsync("CONT");
        return await answered;
    }

    private static async Task CreateAsync(HandoverOptions options)
    {
        string[] words =
        [
            .. options.Program.Skip(1), "create", options.Image, $"{Conventional + Sequential}M", "--zone-size", "1M",
            "--conventional", Conventional.ToString(CultureInfo.InvariantCulture),
        ];
        var start = new ProcessStartInfo(options.Program[0], words) { RedirectStandardError = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        _ = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new HandoverException("the image cannot be created: " + error);
        }
    }
}
