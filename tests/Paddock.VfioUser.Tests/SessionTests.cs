using Paddock.Posix;
using Paddock.Serving;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VfioUser;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>Requests of clients, and what happens to invalid ones.</summary>
[Collection(nameof(DescriptorCollection))]
public sealed class SessionTests : IAsyncLifetime
{
    private readonly DeviceMemory _memory = new(1 << 20);
    private Bench _bench = null!;

    public async ValueTask InitializeAsync() => _bench = await Bench.StartAsync();

    [Fact]
    public void First_message_must_be_the_version()
    {
        using var client = _bench.Connect();
        Assert.Throws<AggregateException>(() => client.Ask(Command.GetInfo, new byte[16]));
        Assert.True(client.WaitForEnd());
        AssertNotice(ClientChange.Rejected, "the first message has command 4: expected 1, the version");
    }

    [Fact]
    public void Other_major_version_is_rejected()
    {
        using var client = _bench.Connect();
        Assert.Throws<AggregateException>(() => new PciDevice(client).Greet(major: 1));
        AssertNotice(ClientChange.Rejected, "version 1.0 is not supported: expected 0.x");
    }

    [Fact]
    public void Transfer_size_that_is_too_small_is_rejected()
    {
        using var client = _bench.Connect();
        Assert.Throws<AggregateException>(() => new PciDevice(client).Greet("{\"capabilities\":{\"max_data_xfer_size\":512}}"));
        AssertNotice(ClientChange.Rejected, "max_data_xfer_size 512: expected at least 4096");
    }

    [Fact]
    public void Second_version_is_rejected_and_the_session_continues()
    {
        var device = _bench.ConnectDevice();
        Assert.Equal(22, device.Greet().Error);
        Assert.Equal(0, device.Reset());
        device.Client.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    [InlineData(14)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(18)]
    [InlineData(11)]
    [InlineData(999)]
    public void Unsupported_command_gets_an_error(int command)
    {
        var device = _bench.ConnectDevice();
        var reply = device.Client.Ask((Command)command, new byte[16]);
        Assert.Equal((95, 0), (reply.Error, reply.Payload.Length));
        Assert.Equal(0, device.Reset());
        device.Client.Dispose();
    }

    [Theory]
    [InlineData(Command.GetInfo, 15)]
    [InlineData(Command.GetInfo, 17)]
    [InlineData(Command.GetRegionInfo, 31)]
    [InlineData(Command.GetIrqInfo, 12)]
    [InlineData(Command.SetIrqs, 19)]
    [InlineData(Command.RegionRead, 15)]
    [InlineData(Command.RegionRead, 17)]
    [InlineData(Command.RegionWrite, 15)]
    [InlineData(Command.RegionWriteMulti, 7)]
    [InlineData(Command.DmaMap, 31)]
    [InlineData(Command.DmaMap, 33)]
    [InlineData(Command.DmaUnmap, 23)]
    [InlineData(Command.Reset, 1)]
    internal void Payload_of_the_wrong_size_gets_an_error(Command command, int size)
    {
        var device = _bench.ConnectDevice();
        Assert.Equal(22, device.Client.Ask(command, new byte[size]).Error);
        Assert.Equal(0, device.Reset());
        device.Client.Dispose();
    }

    [Theory]
    [InlineData(Command.GetInfo, 16)]
    [InlineData(Command.GetRegionInfo, 32)]
    [InlineData(Command.GetIrqInfo, 16)]
    [InlineData(Command.SetIrqs, 20)]
    [InlineData(Command.DmaMap, 32)]
    [InlineData(Command.DmaUnmap, 24)]
    internal void Argsz_without_room_gets_an_error(Command command, int size)
    {
        var device = _bench.ConnectDevice();
        byte[] payload = new byte[size];
        BitConverter.TryWriteBytes(payload, size - 1);
        Assert.Equal(22, device.Client.Ask(command, payload).Error);
        device.Client.Dispose();
    }

    [Theory]
    [InlineData(0u, 0x4000ul, 4u)]
    [InlineData(0u, 0x3FFDul, 4u)]
    [InlineData(0u, ulong.MaxValue, 4u)]
    [InlineData(7u, 4096ul, 1u)]
    [InlineData(7u, 4095ul, 2u)]
    [InlineData(7u, 0ul, 0u)]
    [InlineData(0u, 0ul, 0x2001u)]
    [InlineData(0u, 0ul, 0xFFFFFFFFu)]
    [InlineData(1u, 0ul, 4u)]
    [InlineData(8u, 0ul, 4u)]
    [InlineData(9u, 0ul, 4u)]
    public void Access_outside_a_region_gets_an_error(uint region, ulong offset, uint count)
    {
        var device = _bench.ConnectDevice();
        byte[] read = new byte[RegionAccess.Size], write = new byte[RegionAccess.Size + (int)Math.Min(count, 16)];
        new RegionAccess(offset, region, count).WriteTo(read);
        new RegionAccess(offset, region, count).WriteTo(write);
        Assert.Equal(22, device.Client.Ask(Command.RegionRead, read).Error);
        Assert.Equal(22, device.Client.Ask(Command.RegionWrite, write).Error);
        Assert.Contains($"of region {region}", _bench.Log, StringComparison.Ordinal);
        device.Client.Dispose();
    }

    [Fact]
    public void Region_indexes_are_checked()
    {
        var device = _bench.ConnectDevice();
        Assert.Equal(22, device.RegionOf(9).Reply.Error);
        Assert.Equal(0ul, device.RegionOf(6).Info.Length);
        Assert.Equal(22, device.RegionOf(7, 31).Reply.Error);
        device.Client.Dispose();
    }

    [Fact]
    public void Overlapping_memory_is_rejected()
    {
        var device = _bench.ConnectDevice();
        Assert.Equal(0, device.Map(_memory));
        Assert.Equal(17, device.Map(new DmaMap(DmaFlags.Readable, 0, _memory.Length - 1, 4096), null));
        Assert.Equal(2, device.Unmap(0, 4096));
        Assert.Equal(0, device.Unmap(0, _memory.Length));
        Assert.Equal(2, device.Unmap(0, _memory.Length));
        Assert.Equal(0, device.Map(_memory));
        device.Client.Dispose();
    }

    [Fact]
    public void File_that_does_not_cover_its_region_is_rejected()
    {
        var device = _bench.ConnectDevice();
        Assert.Equal(22, device.Map(new DmaMap(DmaFlags.Readable, 4096, 0, _memory.Length), _memory.File));
        Assert.Equal(0, device.Map(_memory));
        device.Client.Dispose();
    }

    [Fact]
    public async Task Too_many_regions_are_rejected()
    {
        var device = _bench.ConnectDevice();
        byte[] payload = new byte[DmaMap.Size];
        Task<VfioReply> last = null!;
        for (int i = 0; i <= VfioUserLimits.MaxRegions; i++)
        {
            new DmaMap(DmaFlags.Readable, 0, (ulong)i * 8192, 4096).WriteTo(payload);
            last = device.Client.Begin(Command.DmaMap, payload);
        }

        Assert.Equal(28, (await last.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).Error);
        Assert.Equal(0, device.Unmap(0, 0, UnmapFlags.All));
        Assert.Equal(0, device.Map(_memory));
        device.Client.Dispose();
    }

    [Fact]
    public void Memory_without_descriptor_is_warned_of_once()
    {
        var device = _bench.ConnectDevice();
        device.Map(new DmaMap(DmaFlags.Readable | DmaFlags.Writable, 0, 0, 1 << 30), null);
        device.Map(new DmaMap(DmaFlags.Readable | DmaFlags.Writable, 0, 1ul << 32, 1 << 30), null);
        Assert.Single(_bench.Lines);
        Assert.Contains("share=on", _bench.Log, StringComparison.Ordinal);
        device.Client.Dispose();
    }

    [Fact]
    public void Memory_whose_pages_can_be_removed_is_warned_of()
    {
        string path = Path.GetTempFileName();
        using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
        {
            RandomAccess.SetLength(file, 1 << 20);
            var device = _bench.ConnectDevice();
            Assert.Equal(0, device.Map(new DmaMap(DmaFlags.Readable | DmaFlags.Writable, 0, 0, 1 << 20), file));
            Assert.Contains("can lose pages", _bench.Log, StringComparison.Ordinal);
            device.Client.Dispose();
        }

        File.Delete(path);
    }

    [Fact]
    public async Task Regions_beyond_the_limit_of_mappings_are_accessed_with_messages()
    {
        var device = _bench.ConnectDevice();
        byte[] payload = new byte[DmaMap.Size];
        Task<VfioReply> last = null!;
        for (int i = 0; i < VfioUserLimits.MaxMappings + 1000; i++)
        {
            new DmaMap(DmaFlags.Readable, 0, (ulong)i * 8192, 4096).WriteTo(payload);
            last = device.Client.Begin(Command.DmaMap, payload, _memory.File);
        }

        Assert.Equal(0, (await last.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).Error);
        Assert.Equal(VfioUserLimits.MaxMappings + 1, _memory.Mappings);
        device.Client.Dispose();
    }

    [Fact]
    public void Seventeen_descriptors_end_the_session()
    {
        var device = _bench.ConnectDevice();
        byte[] message = new byte[MessageHeader.Size];
        new MessageHeader(9, Command.Reset, MessageHeader.Size, HeaderFlags.None).WriteTo(message);
        device.Client.SendRaw(message, [.. Enumerable.Repeat(_memory.File, 17)]);
        Assert.True(device.Client.WaitForEnd());
        device.Client.Dispose();
        AssertNotice(ClientChange.Disconnected, "more than 16 descriptors came at once");
    }

    [Fact]
    public void Descriptors_that_are_not_used_are_closed()
    {
        var device = _bench.ConnectDevice();
        for (int i = 0; i < 20; i++)
        {
            device.Client.Ask(Command.GetInfo, DeviceInfoRequest(), _memory.File, _memory.File);
        }

        Assert.Equal(1, _memory.Descriptors);
        device.Client.Dispose();
    }

    [Fact]
    public void Reply_that_was_not_asked_for_ends_the_session()
    {
        var device = _bench.ConnectDevice();
        byte[] message = new byte[MessageHeader.Size];
        new MessageHeader(3, Command.DmaRead, MessageHeader.Size, HeaderFlags.Reply).WriteTo(message);
        device.Client.SendRaw(message);
        Assert.True(device.Client.WaitForEnd());
        device.Client.Dispose();
        AssertNotice(ClientChange.Disconnected, "a reply to DmaRead 3, which was not sent");
    }

    [Fact]
    public async Task Second_client_waits_for_the_first()
    {
        var first = _bench.ConnectDevice();
        using var second = _bench.Connect();
        var greeting = Task.Run(() => new PciDevice(second).Greet(), TestContext.Current.CancellationToken);
        Assert.Equal(0, first.Reset());
        Assert.False(greeting.IsCompleted);
        first.Client.Dispose();
        Assert.Equal(0, (await greeting.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).Error);
    }

    [Fact]
    public void Messages_in_pieces_and_several_at_once_are_understood()
    {
        var device = _bench.ConnectDevice();
        byte[] payload = DeviceInfoRequest(), one = new byte[MessageHeader.Size + payload.Length];
        new MessageHeader(500, Command.GetInfo, (uint)one.Length, HeaderFlags.NoReply).WriteTo(one);
        payload.CopyTo(one, MessageHeader.Size);
        foreach (byte b in one)
        {
            device.Client.SendRaw([b]);
        }

        device.Client.SendRaw([.. one, .. one, .. one]);
        Assert.Equal(0, device.Reset());
        Assert.Equal(6, _bench.Server.Counts.Requests);
        device.Client.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        await _bench.DisposeAsync();
        _memory.Dispose();
    }

    private static byte[] DeviceInfoRequest()
    {
        byte[] payload = new byte[DeviceInfo.Size];
        BitConverter.TryWriteBytes(payload, DeviceInfo.Size);
        return payload;
    }

    private void AssertNotice(ClientChange change, string reason)
    {
        ClientNotice? Last()
        {
            lock (_bench.Notices)
            {
                return _bench.Notices.LastOrDefault();
            }
        }

        Assert.True(SpinWait.SpinUntil(() => Last()?.Change == change, TimeSpan.FromSeconds(30)));
        Assert.Equal(reason, Last()!.Reason);
    }
}
