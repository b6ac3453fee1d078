using Microsoft.Extensions.Time.Testing;
using Paddock.Cli.Native.Watch;

namespace Paddock.Cli.Tests.Watch;

/// <summary>What is derived from reports of zones, one after another.</summary>
public class PolledSourceTests
{
    [Fact]
    public async Task Pointers_become_rates_resets_and_events()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 4M --max-active 6");
        await bench.MustAsync("append z.qcow2 3", Workbench.Bytes(1 << 20, 1));
        var time = new FakeTimeProvider();
        await using var source = new PolledSource(
            bench["z.qcow2"], new FilePoll(bench["z.qcow2"], null), TimeSpan.FromSeconds(1), time);
        var model = await source.StartAsync(TestContext.Current.CancellationToken);
        Assert.Equal(("z.qcow2", 16, 1 << 20), (model.Title, model.Zones.Count, model.Zones.WrittenBytes));
        Assert.Empty(model.Events);
        using var over = new CancellationTokenSource();
        var following = source.FollowAsync(model, over.Token);

        await bench.MustAsync("append z.qcow2 5", Workbench.Bytes(2 << 20, 1));
        await bench.MustAsync("zone reset z.qcow2 3");
        await PassAsync(model, time, m => m.Zones.WrittenBytes == 2 << 20);
        lock (model.Lock)
        {
            Assert.Contains(model.Events, e => e.Text == "zone 3: reset, now empty");
            Assert.Contains(model.Events, e => e.Text == "zone 5: empty to closed");
            Assert.Equal([5], model.Zones.Active);
            Assert.True(model.Traffic.Rates()[0].BytesPerSecond > 0);
        }

        File.Delete(bench["z.qcow2"]);
        await PassAsync(model, time, m => m.Problem is not null);
        await over.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => following);
    }

    // lets time pass until the source has seen a change
    private static async Task PassAsync(WatchModel model, FakeTimeProvider time, Func<WatchModel, bool> seen)
    {
        while (true)
        {
            lock (model.Lock)
            {
                if (seen(model))
                {
                    return;
                }
            }

            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }
    }
}
