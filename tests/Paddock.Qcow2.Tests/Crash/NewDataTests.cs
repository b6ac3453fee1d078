using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

public class NewDataTests
{
    private const int Cluster = 4096;

    // found by Paddock.Sim: no reference count changes here, so no barrier stood between the data and the entry that makes it visible
    [Fact]
    public async Task Reused_zero_cluster_never_shows_old_data_after_a_power_cut()
    {
        var token = TestContext.Current.CancellationToken;
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster }, token);
        await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), token))
        {
            await image.WriteAsync(0, Enumerable.Repeat((byte)0x11, Cluster).ToArray(), cancellationToken: token);
            await image.FlushAsync(token);
            await image.WriteZeroesAsync(0, Cluster, cancellationToken: token);
            await image.FlushAsync(token);
            int durable = disk.Log.Count;
            await image.WriteAsync(1024, Enumerable.Repeat((byte)0x22, 512).ToArray(), cancellationToken: token);
            await image.FlushAsync(token);
            var cut = new PowerCut(disk.Log);
            for (int position = durable; position <= disk.Log.Count; position++)
            {
                for (int seed = 0; seed < 100; seed++)
                {
                    await AssertZeroAroundAsync(cut.At(position, seed), $"cut at {position}, seed {seed}");
                }
            }
        }
    }

    private static async Task AssertZeroAroundAsync(PagedStorage rebooted, string when)
    {
        await using var image = await Qcow2Image.OpenAsync(
            rebooted, new Qcow2OpenOptions { ReadOnly = true }, TestContext.Current.CancellationToken);
        var bytes = new byte[Cluster];
        await image.ReadAsync(0, bytes, TestContext.Current.CancellationToken);
        bytes.AsSpan(1024, 512).Clear();
        Assert.False(bytes.AsSpan().ContainsAnyExcept((byte)0), when);
    }
}
