using Paddock.Block;
using Paddock.Server.Live;
using Paddock.Testing;

namespace Paddock.Server.Tests.Live;

public class LiveDeviceTests
{
    private const int Zone = 1 << 16;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Unwatched_device_records_nothing()
    {
        var meter = new LiveMeter();
        await using var device = new LiveDevice(MemoryDisk.Of(1 << 20), meter);
        await device.WriteAsync(0, new byte[4096], cancellationToken: Token);
        Assert.All(meter.Counters.Read(), kind => Assert.Equal(0, kind.Operations));
    }

    [Fact]
    public async Task Every_operation_is_counted_by_its_kind()
    {
        var meter = new LiveMeter();
        meter.Watch();
        await using var device = new LiveDevice(new ZonedMemoryDisk(Zone, 4), meter);
        await device.ReadAsync(0, new byte[512], Token);
        await device.WriteAsync(0, new byte[1024], cancellationToken: Token);
        await device.Zones!.AppendAsync(0, new byte[2048], cancellationToken: Token);
        foreach (var action in new[] { ZoneAction.Open, ZoneAction.Close, ZoneAction.Finish, ZoneAction.Reset })
        {
            await device.Zones.ManageAsync(action, 0, Zone, Token);
        }

        await device.Zones.ReportAsync(0, new ZoneDescriptor[1], Token);
        await device.FlushAsync(Token);
        await device.DiscardAsync(0, 512, Token);
        var kinds = meter.Counters.Read().ToDictionary(k => k.Kind);
        Assert.Equal((1, 512), (kinds["read"].Operations, kinds["read"].Bytes));
        Assert.Equal((1, 1024), (kinds["write"].Operations, kinds["write"].Bytes));
        Assert.Equal((1, 2048), (kinds["append"].Operations, kinds["append"].Bytes));
        Assert.Equal((5, 0), (kinds["zone"].Operations, kinds["zone"].Bytes));
        Assert.Equal(1, kinds["flush"].Operations);
        Assert.Equal(1, kinds["other"].Operations);
        Assert.All(kinds.Values, k => Assert.Equal(k.Operations, k.Latency.Sum()));
    }

    [Fact]
    public async Task Failed_request_is_an_error_and_heats_no_zone()
    {
        var meter = new LiveMeter();
        meter.Watch();
        await using var device = new LiveDevice(new ZonedMemoryDisk(Zone, 4), meter);
        var heat = meter.Prepare(device.Zones!.Limits);
        await Assert.ThrowsAsync<ZoneException>(async () => await device.WriteAsync(4096, new byte[512], cancellationToken: Token));
        var write = meter.Counters.Read().Single(k => k.Kind == "write");
        Assert.Equal((1, 1, 0), (write.Operations, write.Errors, write.Bytes));
        Assert.Equal(0u, heat.Writes(0));
    }

    [Fact]
    public async Task Requests_heat_every_zone_that_they_touch()
    {
        var meter = new LiveMeter();
        meter.Watch();
        await using var device = new LiveDevice(new ZonedMemoryDisk(Zone, 40), meter);
        var heat = meter.Prepare(device.Zones!.Limits);
        await device.ReadAsync(Zone - 512, new byte[1024], Token);
        await device.Zones.AppendAsync(33 * Zone, new byte[512], cancellationToken: Token);
        await device.Zones.ManageAsync(ZoneAction.Reset, 0, 40 * Zone, Token);
        Assert.Equal([1u, 1u, 0u], [heat.Reads(0), heat.Reads(1), heat.Reads(2)]);
        Assert.Equal([1u, 0u], [heat.Writes(33), heat.Writes(34)]);
        Assert.All(Enumerable.Range(0, 40), zone => Assert.Equal(1u, heat.Resets(zone)));
        Assert.Equal((uint.MaxValue, 0xffu), (heat.TakeTouched(0), heat.TakeTouched(1)));
        Assert.Equal((0u, 0u), (heat.TakeTouched(0), heat.TakeTouched(1)));
    }

    [Fact]
    public async Task Recording_allocates_nothing()
    {
        var meter = new LiveMeter();
        meter.Watch();
        await using var device = new LiveDevice(MemoryDisk.Of(1 << 20), meter);
        byte[] data = new byte[512];
        Allocations.AssertNone(() => Assert.True(RunAsync().IsCompletedSuccessfully));

        async Task RunAsync()
        {
            for (int i = 0; i < 1000; i++)
            {
                await device.WriteAsync(i * 512, data, cancellationToken: Token);
                await device.ReadAsync(i * 512, data, Token);
            }
        }
    }
}
