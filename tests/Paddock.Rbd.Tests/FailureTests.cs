using System.Globalization;
using Paddock.Block;

namespace Paddock.Rbd.Tests;

/// <summary>Daemons that stop, die and return, and a cluster that is full. Runs alone: it disturbs every other request.</summary>
[Collection(nameof(FailureTests))]
[CollectionDefinition(nameof(FailureTests), DisableParallelization = true)]
public class FailureTests(CephCluster cluster)
{
    [Fact]
    public async Task Requests_wait_for_a_stopped_osd_and_resume()
    {
        await using var storage = await cluster.CreateAsync(1 << 20, caches: false);
        await storage.WriteAsync(0, new byte[] { 1 }, TestContext.Current.CancellationToken);
        await cluster.SignalAsync("osd.0", "STOP");
        try
        {
            var write = storage.WriteAsync(0, new byte[] { 2 }, TestContext.Current.CancellationToken).AsTask();
            Assert.False(write.IsCompleted);
            await cluster.SignalAsync("osd.0", "CONT");
            await write.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        }
        finally
        {
            await cluster.SignalAsync("osd.0", "CONT");
        }

        Assert.Equal(2, await ReadByteAsync(storage));
    }

    [Fact]
    public async Task Requests_in_flight_complete_when_a_killed_osd_is_back()
    {
        await using var storage = await cluster.CreateAsync(1 << 20, caches: false);
        await storage.WriteAsync(0, new byte[] { 1 }, TestContext.Current.CancellationToken);
        await cluster.SignalAsync("osd.0", "KILL");
        var write = storage.WriteAsync(0, new byte[] { 2 }, TestContext.Current.CancellationToken).AsTask();
        Assert.False(write.IsCompleted);
        await cluster.RestartAsync("osd");
        await write.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.Equal(2, await ReadByteAsync(storage));
    }

    [Fact]
    public async Task Killed_monitor_stops_no_request_and_new_connections_succeed_when_it_is_back()
    {
        await using var storage = await cluster.CreateAsync(1 << 20, caches: false);
        await storage.WriteAsync(0, new byte[] { 1 }, TestContext.Current.CancellationToken);
        await cluster.SignalAsync("mon.a", "KILL");
        try
        {
            await storage.WriteAsync(0, new byte[] { 2 }, TestContext.Current.CancellationToken).AsTask()
                .WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
            var quick = storage.Image.Target with { Options = [KeyValuePair.Create("client_mount_timeout", "1")] };
            var failure = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(quick, readOnly: true));
            Assert.Contains("cannot connect to the Ceph cluster", failure.Message, StringComparison.Ordinal);
            Assert.Contains("monitors", failure.Message, StringComparison.Ordinal);
        }
        finally
        {
            await cluster.RestartAsync("mon");
        }

        await using var again = await RbdImage.OpenAsync(storage.Image.Target, readOnly: true);
        Assert.Equal(2, await ReadByteAsync(storage));
    }

    [Fact]
    public async Task Writes_to_a_full_cluster_wait_or_fail_after_the_timeout_that_was_asked_for()
    {
        string image = CephCluster.NewImage();
        var target = cluster.TargetOf(image);
        await RbdImage.CreateAsync(target, 1 << 20);
        await using var patient = new RbdStorage(await RbdImage.OpenAsync(target, readOnly: false, caches: false));
        string other = CephCluster.NewImage();
        await RbdImage.CreateAsync(cluster.TargetOf(other), 1 << 20);
        var quick = cluster.TargetOf(other) with { Options = [KeyValuePair.Create("rados_osd_op_timeout", "2")] };
        var impatient = new RbdStorage(await RbdImage.OpenAsync(quick, readOnly: false, caches: false));
        await FillAsync();
        try
        {
            var write = patient.WriteAsync(0, new byte[] { 3 }, TestContext.Current.CancellationToken).AsTask();
            var failure = await Assert.ThrowsAsync<BlockException>(
                async () => await impatient.WriteAsync(0, new byte[] { 3 }, TestContext.Current.CancellationToken));
            Assert.Contains("the cluster has not answered, or is full", failure.Message, StringComparison.Ordinal);
            Assert.False(write.IsCompleted);
            await DrainAsync();
            await write.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
            Assert.Equal(3, await ReadByteAsync(patient));
        }
        finally
        {
            await DrainAsync();
        }

        await impatient.DisposeAsync();
    }

    // the OSD is over the ratios at which a cluster counts as full
    private Task FillAsync() => SetRatiosAsync(0.0003, isFull: true);

    private Task DrainAsync() => SetRatiosAsync(0.95, isFull: false);

    private async Task SetRatiosAsync(double full, bool isFull)
    {
        (string Name, double Share)[] ratios = [("nearfull", full * 0.9), ("backfillfull", full * 0.95), ("full", full)];
        foreach (var (name, share) in isFull ? ratios : ratios.Reverse())
        {
            await cluster.CephAsync("osd", $"set-{name}-ratio", share.ToString("0.######", CultureInfo.InvariantCulture));
        }

        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while ((await cluster.CephAsync("osd", "pool", "ls", "detail")).Contains(",full", StringComparison.Ordinal) != isFull)
        {
            await Task.Delay(100, limit.Token);
        }
    }

    private static async Task<int> ReadByteAsync(RbdStorage storage)
    {
        byte[] read = new byte[1];
        await storage.ReadAsync(0, read, TestContext.Current.CancellationToken);
        return read[0];
    }
}
