using Paddock.Block;
using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>
/// Watches every disk from the start of the server on, so that counts begin with it, and keeps the last minutes for pages that are opened
/// later.
/// </summary>
internal sealed class Recorder : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly Task _recording;

    /// <param name="feed">The live feed.</param>
    public Recorder(LiveFeed feed)
    {
        Histories = [.. feed.Disks.Select(d => new History(d))];
        (History History, LiveWatcher Watcher)[] watched = [.. Histories.Select(h => (h, new LiveWatcher(feed, [h.Disk])))];
        _recording = Task.Run(() => RunAsync(watched));
    }

    /// <summary>The past of each disk.</summary>
    public IReadOnlyList<History> Histories { get; }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _recording;
        _stop.Dispose();
    }

    private async Task RunAsync((History History, LiveWatcher Watcher)[] watched)
    {
        try
        {
            using var timer = new PeriodicTimer(Interval);
            do
            {
                foreach (var (history, watcher) in watched)
                {
                    await AddAsync(history, watcher);
                }
            }
            while (await timer.WaitForNextTickAsync(_stop.Token));
        }
        catch (OperationCanceledException)
        {
            // the server stops
        }
        finally
        {
            foreach (var (_, watcher) in watched)
            {
                watcher.Dispose();
            }
        }
    }

    private async Task AddAsync(History history, LiveWatcher watcher)
    {
        try
        {
            await foreach (var frame in watcher.NextAsync(_stop.Token))
            {
                history.Add(frame);
            }
        }
        catch (Exception e) when (e is BlockException or IOException or ObjectDisposedException)
        {
            // the disk has no power: what is missed comes with the next frame
        }
    }
}
