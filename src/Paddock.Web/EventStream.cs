using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>The live feed as server-sent events: one frame each.</summary>
/// <param name="feed">The feed.</param>
/// <param name="stopping">Ends all streams.</param>
internal sealed class EventStream(LiveFeed feed, CancellationToken stopping)
{
    /// <summary>Maximum number of streams.</summary>
    public const int MaxClients = 16;

    private const int DefaultInterval = 250;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private int _clients;

    /// <summary>Sends frames until the client leaves, is too slow, or the server stops.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        var query = new Query(context.Request.Query);
        int interval = (int)query.Number("interval", DefaultInterval, WatchLine.MinInterval, WatchLine.MaxInterval);
        uint? stamp = query["stamp"] is null ? null : (uint)query.Number("stamp", 0, 0, uint.MaxValue);
        long known = query.Number("event", 0, 0, long.MaxValue);
        IReadOnlyList<LiveDisk> disks = query["disk"] is { } name ? [feed.Find(name)] : feed.Disks;
        if (Interlocked.Increment(ref _clients) > MaxClients)
        {
            Interlocked.Decrement(ref _clients);
            context.Response.Headers.RetryAfter = "10";
            await Replies.FailAsync(
                context, StatusCodes.Status503ServiceUnavailable, $"{MaxClients} clients are watching already, which is the limit");
            return;
        }

        try
        {
            using var watcher = new LiveWatcher(feed, disks, stamp, known);
            using var ends = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
            context.Response.ContentType = "text/event-stream";
            if (!HttpMethods.IsHead(context.Request.Method))
            {
                await FollowAsync(context, watcher, interval, ends.Token);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _clients);
        }
    }

    private static async Task FollowAsync(HttpContext context, LiveWatcher watcher, int interval, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(interval));
        do
        {
            await foreach (var frame in watcher.NextAsync(cancellationToken))
            {
                await SendAsync(context, frame, cancellationToken);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    // a client that does not read is disconnected: what it misses would pile up
    private static async Task SendAsync(HttpContext context, LiveFrame frame, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        try
        {
            await context.Response.Body.WriteAsync(
                Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"id: {frame.Stamp}\ndata: ")), limit.Token);
            await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(frame, LiveJson.Default.LiveFrame), limit.Token);
            await context.Response.Body.WriteAsync("\n\n"u8.ToArray(), limit.Token);
            await context.Response.Body.FlushAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            context.Abort();
            throw;
        }
    }
}
