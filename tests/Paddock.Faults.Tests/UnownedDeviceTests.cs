using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Faults.Tests;

/// <summary>A disk that is handed over: blocked, replaced, and without an owner.</summary>
public class UnownedDeviceTests
{
    private const int Size = 1 << 20, Zone = 1 << 18, Zones = 4;

    [Fact]
    public async Task Disk_with_a_hanging_request_is_not_blocked_and_serves_on()
    {
        var released = new TaskCompletionSource();
        var inner = new TestDevice(Size)
        {
            Around = async (request, forward) =>
            {
                await (request.Call == DeviceCall.Write ? released.Task : Task.CompletedTask);
                await forward();
            },
        };
        var served = new ServedDevice(inner);
        var hanging = served.WriteAsync(0, new byte[512]).AsTask();
        Assert.False(await served.TryBlockAsync(TimeSpan.FromMilliseconds(1)));
        await served.ReadAsync(0, new byte[512]);
        Assert.False(hanging.IsCompleted);
        released.SetResult();
        await hanging;
        Assert.True(await served.TryBlockAsync(TimeSpan.FromSeconds(60)));
        var waiting = served.ReadAsync(0, new byte[512]).AsTask();
        Assert.False(waiting.IsCompleted);
        served.Replace(UnownedDevice.For(inner, "elsewhere"));
        served.Unblock();
        var e = await Assert.ThrowsAsync<BlockException>(() => waiting);
        Assert.Equal((BlockError.NotOwner, "elsewhere"), (e.Error, e.Message));
    }

    [Fact]
    public async Task Lost_disk_fails_new_requests_while_old_ones_end()
    {
        var released = new TaskCompletionSource();
        var inner = new TestDevice(Size) { Around = async (_, forward) => { await released.Task; await forward(); } };
        var served = new ServedDevice(inner);
        var old = served.WriteAsync(0, new byte[512]).AsTask();
        served.Replace(UnownedDevice.For(inner, "lost"));
        var blocking = served.BlockAsync().AsTask();
        var e = await Assert.ThrowsAsync<BlockException>(async () => await served.ReadAsync(0, new byte[512]));
        Assert.Equal(BlockError.NotOwner, e.Error);
        Assert.False(blocking.IsCompleted);
        released.SetResult();
        await blocking;
        await old;
    }

    [Fact]
    public async Task Every_request_fails_and_size_and_zones_stay()
    {
        var disk = UnownedDevice.For(new ZonedMemoryDisk(Zone, Zones), "elsewhere");
        Assert.Equal(Zone * Zones, disk.Length);
        Assert.Equal((Zone, Zones), (disk.Zones!.Limits.ZoneSize, disk.Zones.Limits.ZoneCount));
        Func<Task>[] requests =
        [
            () => disk.ReadAsync(0, new byte[512]).AsTask(), () => disk.WriteAsync(0, new byte[512]).AsTask(),
            () => disk.WriteZeroesAsync(0, 512).AsTask(), () => disk.DiscardAsync(0, 512).AsTask(), () => disk.FlushAsync().AsTask(),
            () => disk.ResizeAsync(512).AsTask(), () => disk.GetStatusAsync(0, 512).AsTask(),
            () => disk.Zones.AppendAsync(0, new byte[512]).AsTask(), () => disk.Zones.CommitAsync(512).AsTask(),
            () => disk.Zones.ManageAsync(ZoneAction.Reset, 0, Zone).AsTask(),
            () => disk.Zones.ReportAsync(0, new ZoneDescriptor[1]).AsTask(),
        ];
        foreach (var request in requests)
        {
            Assert.Equal(BlockError.NotOwner, (await Assert.ThrowsAsync<BlockException>(request)).Error);
        }
    }
}
