using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Live;

namespace Paddock.Cli.Native.Watch;

/// <summary>The live feed of a server (docs/live.md): zones, requests, latencies and events.</summary>
/// <param name="socket">Control socket of the server.</param>
/// <param name="disk">Name or image of the disk; null: the only zoned one.</param>
/// <param name="interval">Time between two frames.</param>
/// <param name="time">The clock.</param>
internal sealed class FeedSource(string socket, string? disk, TimeSpan interval, TimeProvider time) : IZoneSource
{
    private static readonly long MaxTime = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    private readonly long _start = time.GetTimestamp();
    private readonly CancellationTokenSource _end = new();
    private IAsyncEnumerator<LiveFrame>? _frames;
    private string _name = "";

    /// <inheritdoc/>
    public async Task<WatchModel> StartAsync(CancellationToken cancellationToken)
    {
        var chosen = await ChooseAsync(cancellationToken);
        _name = chosen.Name;
        await using var over = cancellationToken.Register(_end.Cancel);
        _frames = Follow(_name, _end.Token);
        WatchModel? model = null;
        bool more = true;
        while (more && await _frames.MoveNextAsync())
        {
            var frame = _frames.Current;
            more = frame.More;
            model ??= Begin(frame);
            if (model is not null)
            {
                Apply(model, frame, isFirst: true);
            }
        }

        return model ?? throw new ToolException($"the server at '{socket}' stopped before it reported its zones");
    }

    /// <inheritdoc/>
    public async Task FollowAsync(WatchModel model, CancellationToken cancellationToken)
    {
        string why = "the server has stopped";
        try
        {
            await using var over = cancellationToken.Register(_end.Cancel);
            while (await _frames!.MoveNextAsync())
            {
                lock (model.Lock)
                {
                    Apply(model, _frames.Current, isFirst: false);
                }
            }
        }
        catch (ToolException e)
        {
            why = e.Message;
        }

        lock (model.Lock)
        {
            model.Problem = why;
            model.Touch();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await (_frames?.DisposeAsync() ?? ValueTask.CompletedTask);
        _end.Dispose();
    }

    private long Elapsed => (long)time.GetElapsedTime(_start).TotalMilliseconds;

    private IAsyncEnumerator<LiveFrame> Follow(string? name, CancellationToken cancellationToken)
        => LiveClient.WatchAsync(socket, new WatchLine((int)interval.TotalMilliseconds, name), cancellationToken)
            .GetAsyncEnumerator(cancellationToken);

    // the first frame names all disks
    private async Task<LiveDiskFrame> ChooseAsync(CancellationToken cancellationToken)
    {
        await using var frames = Follow(null, cancellationToken);
        var disks = await frames.MoveNextAsync() ? frames.Current.Disks : [];
        var zoned = disks.Where(d => d.State?.Zoned is not null).ToList();
        string names = string.Join(", ", zoned.Select(d => d.Name));
        if (disk is not null)
        {
            var named = disks.FirstOrDefault(d => d.Name == disk)
                ?? disks.FirstOrDefault(d => d.State is { } s && Path.GetFullPath(s.Image) == Path.GetFullPath(disk))
                ?? throw new ToolException($"the server at '{socket}' has no disk '{disk}'; its zoned disks: {names}");
            return named.State?.Zoned is not null ? named
                : throw new ToolException($"disk '{named.Name}' has no zones; zoned disks of the server: {names}");
        }

        return zoned.Count switch
        {
            1 => zoned[0],
            0 => throw new ToolException($"the server at '{socket}' has no zoned disk"),
            _ => throw new ToolException($"the server at '{socket}' has several zoned disks; name one of them: {names}"),
        };
    }

    private WatchModel? Begin(LiveFrame frame)
    {
        if (frame.Disks.FirstOrDefault(d => d.Name == _name)?.State is not { Zoned: { } zoned } state)
        {
            return null;
        }

        var model = new WatchModel(
            Path.GetFileName(state.Image), "live feed", new ZoneStore(LimitsOf(zoned), state.Size)) { HasRequests = true };
        model.Traffic.SetBounds(frame.LatencyBoundsUs ?? []);
        return model;
    }

    private void Apply(WatchModel model, LiveFrame frame, bool isFirst)
    {
        long now = Elapsed;
        model.Now = now;
        foreach (var disk in frame.Disks.Where(d => d.Name == _name))
        {
            if (disk.State is { Zoned: { } zoned } state)
            {
                ApplyState(model, state, zoned, now);
            }

            for (int at = 0; at + LiveDiskFrame.RunLength <= disk.Zones.Count; at += LiveDiskFrame.RunLength)
            {
                ApplyRun(model, disk.Zones, at, isFirst ? null : now);
            }
        }

        foreach (var added in frame.Events)
        {
            string facts = string.Join(' ', added.Facts.Select(f => $"{f.Key}={f.Value}"));
            var at = DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(added.TimeMs, 0, MaxTime)).ToLocalTime();
            model.Add(new WatchEvent(at, EscapedText.Escape($"{added.Event} {facts}")));
        }

        if (!frame.More)
        {
            model.Touch();
        }
    }

    private static void ApplyState(WatchModel model, LiveDiskState state, LiveZoned zoned, long now)
    {
        if (LimitsOf(zoned) is var limits && (limits != model.Zones.Limits || state.Size != model.Zones.DiskLength))
        {
            model.Zones.Resize(limits, state.Size);
        }

        model.Inactive = state.State == "active" ? null : EscapedText.Escape(state.State);
        model.Amplification = state.WriteAmplification;
        model.OnDisk = state.FileBytes;
        model.Traffic.Add(
            now, [.. state.Requests.Select(static r => new TrafficCounters(r.Kind, r.Operations, r.Bytes, r.Errors, r.Latency))]);
    }

    private static void ApplyRun(WatchModel model, IReadOnlyList<long> zones, int at, long? now)
    {
        int first = (int)Math.Clamp(zones[at], 0, model.Zones.Count);
        int end = first + (int)Math.Clamp(zones[at + 1], 0, model.Zones.Count - first);
        var counts = new ZoneCounts(zones[at + 4], zones[at + 5], zones[at + 6]);
        for (int zone = first; zone < end; zone++)
        {
            model.Zones.Set(zone, (ZoneCondition)(zones[at + 2] & 15), zones[at + 3], counts, now);
        }
    }

    // a server is not trusted with sizes either
    private static ZonedLimits LimitsOf(LiveZoned zoned)
        => zoned is { ZoneCount: >= 0 and <= ZoneStore.MaxZones, ZoneSize: > 0, ZoneCapacity: >= 0, ConventionalZones: >= 0 }
            ? new ZonedLimits(
                zoned.ZoneSize, zoned.ZoneCapacity, zoned.ZoneCount, zoned.ConventionalZones, zoned.MaxOpen, zoned.MaxActive, 0)
            : throw new ToolException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"the server reports {zoned.ZoneCount} zones of {zoned.ZoneSize} bytes; the limit is {ZoneStore.MaxZones}"));
}
