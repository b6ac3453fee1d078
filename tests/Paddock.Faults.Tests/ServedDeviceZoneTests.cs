using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Faults.Tests;

/// <summary>The zones of a served device.</summary>
public class ServedDeviceZoneTests
{
    private const int Zone = 64 << 10;

    private static readonly byte[] Block = new byte[4096];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Append_observer_reaches_the_device()
    {
        await using var device = CheckedDevice.Wrap(new ServedDevice(new ZonedMemoryDisk(Zone, 4)));
        var observer = new Observer();
        await device.Zones!.AppendAsync(Zone, Block, cancellationToken: Token);
        Assert.Equal(Zone + 4096, await device.Zones.AppendAsync(Zone, Block, WriteFlags.None, observer, Token));
        Assert.Equal(Zone + 4096, observer.Offset);
    }

    [Fact]
    public async Task Rule_for_part_of_a_zone_matches_appends_but_not_reports_of_the_server()
    {
        await using var device = new ServedDevice(new ZonedMemoryDisk(Zone, 4));
        device.Faults.Add(new DeviceFault { Offset = (2 * Zone) - 512, Length = 512, Count = 0, Error = BlockError.NoSpace });
        var refused = await Assert.ThrowsAsync<InjectedFaultException>(() => device.Zones!.AppendAsync(Zone, Block).AsTask());
        Assert.Equal(BlockError.NoSpace, refused.Error);
        await device.Zones!.AppendAsync(0, Block, cancellationToken: Token);
        await Assert.ThrowsAsync<InjectedFaultException>(() => device.Zones.ReportAsync(Zone, new ZoneDescriptor[1]).AsTask());
        Assert.Equal(1, await device.ZonesWithoutFaults!.ReportAsync(Zone, new ZoneDescriptor[1], Token));
    }

    [Fact]
    public async Task Zone_request_beyond_a_shrunk_device_is_out_of_range()
    {
        await using var device = new ServedDevice(new ZonedMemoryDisk(Zone, 4));
        var zones = device.Zones!;
        await device.ResizeAsync(2 * Zone, cancellationToken: Token);
        Assert.Equal(2, zones.Limits.ZoneCount);
        foreach (var request in new Func<Task>[]
        {
            () => zones.AppendAsync(2 * Zone, Block).AsTask(), () => zones.ManageAsync(ZoneAction.Open, 3 * Zone, Zone).AsTask(),
            () => zones.ReportAsync(2 * Zone, new ZoneDescriptor[1]).AsTask(),
        })
        {
            Assert.Equal(ZoneError.OutOfRange, (await Assert.ThrowsAsync<ZoneException>(request)).Reason);
        }
    }

    [Fact]
    public async Task Zones_of_a_replaced_device_are_those_of_the_new_one()
    {
        await using var device = new ServedDevice(new ZonedMemoryDisk(Zone, 4));
        var zones = device.Zones!;
        await zones.AppendAsync(0, Block, cancellationToken: Token);
        await device.Replace(new ZonedMemoryDisk(Zone, 2)).DisposeAsync();
        Assert.Same(zones, device.Zones);
        Assert.Equal(0, await zones.AppendAsync(0, Block, cancellationToken: Token));

        // the request may have been validated against the previous size
        await Assert.ThrowsAsync<ZoneException>(() => zones.AppendAsync(3 * Zone, Block).AsTask());
        await using var plain = MemoryDisk.Of(Zone);
        Assert.Throws<BlockException>(() => device.Replace(plain));
        await using var other = new ZonedMemoryDisk(2 * Zone, 2);
        Assert.Throws<BlockException>(() => device.Replace(other));
    }

    private sealed class Observer : IAppendObserver
    {
        public long Offset { get; private set; } = -1;

        public void Assigned(long offset) => Offset = offset;
    }
}
