using System.Text.Json;
using Paddock.Images;

namespace Paddock.Server.Live;

/// <summary>Sends the live feed to clients of the control socket, as JSON lines.</summary>
/// <param name="feed">The feed.</param>
internal sealed class LiveStream(LiveFeed feed)
{
    // fewer than the control socket takes clients: commands must still get through
    private const int MaxWatchers = 8;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private int _watchers;

    /// <summary>Sends frames until the client leaves, is too slow, or the server stops.</summary>
    /// <param name="stream">The client.</param>
    /// <param name="text">The command line.</param>
    /// <param name="cancellationToken">The server stops.</param>
    /// <returns>Why the client was rejected; null: it has been served.</returns>
    public async Task<string?> ServeAsync(Stream stream, string text, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _watchers) > MaxWatchers)
        {
            Interlocked.Decrement(ref _watchers);
            return $"{MaxWatchers} clients are watching already, which is the limit";
        }

        try
        {
            var line = WatchLine.Parse(text);
            using var watcher = feed.Watch(line.Image);
            await SendAsync(stream, "ok: watching\n"u8.ToArray(), cancellationToken);
            await FollowAsync(stream, watcher, line.Interval, cancellationToken);
            return null;
        }
        catch (ToolException e)
        {
            return e.Message;
        }
        finally
        {
            Interlocked.Decrement(ref _watchers);
        }
    }

    private static async Task FollowAsync(Stream stream, LiveWatcher watcher, int interval, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(interval));
        do
        {
            await foreach (var frame in watcher.NextAsync(cancellationToken))
            {
                await SendAsync(stream, JsonSerializer.SerializeToUtf8Bytes(frame, LiveJson.Default.LiveFrame), cancellationToken);
                await SendAsync(stream, "\n"u8.ToArray(), cancellationToken);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    private static async Task SendAsync(Stream stream, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        await stream.WriteAsync(bytes, limit.Token);
    }
}
