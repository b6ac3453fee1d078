using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Tests.Engine;
using Paddock.Qcow2.Zoned;
using Paddock.Zones;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>The volatile write cache of zones, over the engine's objects and without a device.</summary>
public class ZoneCacheTests
{
    private const int ZoneSize = 1 << 20, Zones = 2;

    [Fact]
    public async Task Small_write_is_gathered_and_its_space_is_taken()
    {
        var (storage, state, cache) = await ComposeAsync();
        await cache.StoreAsync(0, 0, Filled(512, 1), CancellationToken.None);
        Assert.Equal(512, state.Buffers.Find(0)!.Length);
        Assert.DoesNotContain("write_aio", storage.Log);
        storage.Restart();
        await cache.DrainAsync(0, CancellationToken.None);
        Assert.Null(state.Buffers.Find(0));
        Assert.DoesNotContain("cluster_alloc", storage.Log);
        Assert.Contains("write_aio", storage.Log);
    }

    [Fact]
    public async Task Full_buffer_goes_to_the_image()
    {
        var (storage, state, cache) = await ComposeAsync();
        for (int at = 0; at < ZoneBuffers.BufferBytes; at += 32 << 10)
        {
            await cache.StoreAsync(0, at, Filled(32 << 10, 2), CancellationToken.None);
        }

        Assert.Equal(0, state.Buffers.Count);
        Assert.Contains("write_aio", storage.Log);
    }

    [Fact]
    public async Task Last_bytes_of_a_zone_are_not_kept_in_a_buffer()
    {
        var (_, state, cache) = await ComposeAsync();
        await cache.StoreAsync(0, ZoneSize - 512, Filled(512, 3), CancellationToken.None);
        Assert.Equal(0, state.Buffers.Count);
    }

    [Fact]
    public async Task Long_write_drains_the_buffer_first()
    {
        var (storage, state, cache) = await ComposeAsync();
        await cache.StoreAsync(0, 0, Filled(512, 1), CancellationToken.None);
        storage.Restart();
        await cache.StoreAsync(0, 512, Filled(ZoneBuffers.BufferBytes, 2), CancellationToken.None);
        Assert.Equal(0, state.Buffers.Count);
        Assert.Equal("write_aio", storage.Log.First(static line => line == "write_aio" || line == "cluster_alloc"));
    }

    [Fact]
    public async Task Zone_that_cannot_be_drained_keeps_its_data_and_does_not_stop_others()
    {
        var (storage, state, cache) = await ComposeAsync();
        await cache.StoreAsync(0, 0, Filled(512, 1), CancellationToken.None);
        await cache.StoreAsync(1, ZoneSize, Filled(512, 1), CancellationToken.None);
        storage.FailNextData = true;
        await Assert.ThrowsAsync<BlockException>(async () => await cache.DrainAllAsync(CancellationToken.None));
        Assert.Equal(1, state.Buffers.Count);
        await cache.DrainAllAsync(CancellationToken.None);
        Assert.Equal(0, state.Buffers.Count);
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static async Task<(RecordingStorage Storage, ZonedState State, ZoneCache Cache)> ComposeAsync()
    {
        var kit = await EngineKit.CreateAsync();
        var parts = new ImageParts(
            kit.Storage, new Qcow2OpenOptions(), new LoadedHeader(kit.Fields, [], null), new ulong[EngineKit.L1Entries], [], null);
        var zones = new ZoneSet(new ZonedLimits(ZoneSize, ZoneSize, Zones, 0, 0, 0, 0), (long)Zones * ZoneSize);
        var parameters = new ZonedParameters
        {
            Layout = ZoneLayout.B,
            Model = 1,
            ZoneSize = ZoneSize,
            ZoneCapacity = ZoneSize,
            ZoneCount = Zones,
            ConventionalZones = 0,
            MaxActiveZones = 0,
            MaxOpenZones = 0,
            TableOffset = 1 << 20,
        };
        var table = new ZonePointerTable(kit.Storage, new HostOffset(1 << 20), new byte[16], ZoneTableFormat.Of(ZoneLayout.B));
        var state = new ZonedState(parts.Header, parameters, zones, table);
        return (kit.Storage, state, new ZoneCache(state, parts.Writer, parts.Space, isReadOnly: false));
    }
}
