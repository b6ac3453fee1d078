using System.Text;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>Structures on the wire, byte by byte.</summary>
public class WireTests
{
    [Fact]
    public void Header_is_sixteen_bytes()
    {
        var bytes = new byte[MessageHeader.Size];
        var header = new MessageHeader(0x0201, Command.RegionRead, 32, HeaderFlags.Reply | HeaderFlags.Error, 22);
        header.WriteTo(bytes);
        AssertBytes("01 02 09 00 20 00 00 00 21 00 00 00 16 00 00 00", bytes);
        Assert.Equal(header, MessageHeader.Parse(bytes));
    }

    [Theory]
    [InlineData(15u, 0u)]
    [InlineData(8193u, 0u)]
    [InlineData(0xFFFFFFFFu, 0u)]
    [InlineData(16u, 2u)]
    [InlineData((1u << 20) + 33, 1u)]
    public void Header_with_invalid_size_or_type_is_rejected(uint size, uint flags)
    {
        var bytes = new byte[MessageHeader.Size];
        new MessageHeader(1, Command.GetInfo, size, (HeaderFlags)flags).WriteTo(bytes);
        Assert.Throws<VfioUserException>(() => MessageHeader.Parse(bytes));
    }

    [Fact]
    public void Version_has_capabilities_with_a_terminating_nul()
    {
        byte[] bytes = new VersionMessage(0, 0, new Capabilities { MaxDescriptors = 16, WriteMultiple = true }).ToBytes();
        byte[] expected = [0, 0, 0, 0, .. Encoding.UTF8.GetBytes("{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true}}"), 0];
        Assert.Equal(expected, bytes);
        var parsed = VersionMessage.Parse(bytes);
        Assert.Equal(16, parsed.Capabilities.MaxDescriptors);
        Assert.Null(parsed.Capabilities.MaxTransfer);
        Assert.Equal(default, VersionMessage.Parse(new byte[4]).Capabilities);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"capabilities\": 1}")]
    [InlineData("{\"capabilities\": {\"max_msg_fds\": \"16\"}}")]
    [InlineData("{\"capabilities\": {\"max_msg_fds\": 1.5}}")]
    [InlineData("{\"capabilities\": {\"a\": [[[[[[[[[[1]]]]]]]]]]}}")]
    public void Invalid_capabilities_are_rejected(string json)
    {
        byte[] bytes = [0, 0, 0, 0, .. Encoding.UTF8.GetBytes(json), 0];
        Assert.Equal(ErrorNumber.Invalid, Assert.Throws<RequestFailedException>(() => VersionMessage.Parse(bytes)).Error);
    }

    [Fact]
    public void Reply_has_only_proposed_capabilities()
    {
        var offered = new Capabilities { MaxDescriptors = 16, MaxTransfer = 1, MaxDmaMaps = 2, PageSizes = 3, WriteMultiple = true };
        Assert.Equal("{\"capabilities\":{}}", offered.Among(default).ToJson());
        Assert.Equal("{\"capabilities\":{\"pgsizes\":3}}", offered.Among(new Capabilities { PageSizes = 4096 }).ToJson());
    }

    [Fact]
    public void Memory_map_is_32_bytes()
    {
        var bytes = new byte[DmaMap.Size];
        var map = new DmaMap(DmaFlags.Readable | DmaFlags.Writable, 0x80000000, 0x100000000, 0x40000000);
        map.WriteTo(bytes);
        AssertBytes("20 00 00 00 03 00 00 00 00 00 00 80 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 40 00 00 00 00", bytes);
        Assert.Equal(map, DmaMap.Parse(bytes));
    }

    [Theory]
    [InlineData(3u, 0ul, 0ul, 0ul)]
    [InlineData(4u, 0ul, 0ul, 4096ul)]
    [InlineData(3u, 0ul, ulong.MaxValue, 2ul)]
    [InlineData(3u, 0x8000000000000000ul, 0ul, 4096ul)]
    public void Invalid_memory_map_is_rejected(uint flags, ulong offset, ulong address, ulong length)
    {
        var bytes = new byte[DmaMap.Size];
        new DmaMap((DmaFlags)flags, offset, address, length).WriteTo(bytes);
        Assert.Equal(ErrorNumber.Invalid, Assert.Throws<RequestFailedException>(() => DmaMap.Parse(bytes)).Error);
    }

    [Fact]
    public void Memory_map_may_end_at_the_end_of_the_address_space()
    {
        var bytes = new byte[DmaMap.Size];
        new DmaMap(DmaFlags.Readable, 0, ulong.MaxValue - 4095, 4096).WriteTo(bytes);
        Assert.Equal(4096ul, DmaMap.Parse(bytes).Length);
    }

    [Fact]
    public void Memory_unmap_is_24_bytes()
    {
        var bytes = new byte[DmaUnmap.Size];
        new DmaUnmap(UnmapFlags.All, 0, 0).WriteTo(bytes);
        AssertBytes("18 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", bytes);
        Assert.Equal(UnmapFlags.All, DmaUnmap.Parse(bytes).Flags);
        new DmaUnmap(UnmapFlags.All, 0, 1).WriteTo(bytes);
        Assert.Equal(ErrorNumber.Invalid, Assert.Throws<RequestFailedException>(() => DmaUnmap.Parse(bytes)).Error);
        new DmaUnmap(UnmapFlags.DirtyBitmap, 0, 1).WriteTo(bytes);
        Assert.Equal(ErrorNumber.NotSupported, Assert.Throws<RequestFailedException>(() => DmaUnmap.Parse(bytes)).Error);
    }

    [Fact]
    public void Device_info_is_16_bytes()
    {
        var bytes = new byte[DeviceInfo.Size];
        new DeviceInfo(DeviceFlags.Pci | DeviceFlags.Reset, 9, 5).WriteTo(bytes);
        AssertBytes("10 00 00 00 03 00 00 00 09 00 00 00 05 00 00 00", bytes);
    }

    [Fact]
    public void Region_info_without_area_is_32_bytes()
    {
        var bytes = new byte[RegionInfo.FullSize];
        var info = new RegionInfo(RegionFlags.Read | RegionFlags.Write, 7, 4096);
        Assert.Equal(32, info.WriteTo(bytes, 4096));
        AssertBytes("20 00 00 00 03 00 00 00 07 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00", bytes[..32]);
    }

    [Fact]
    public void Region_info_without_room_names_the_size_and_no_capability()
    {
        var bytes = new byte[RegionInfo.FullSize];
        var info = new RegionInfo(RegionFlags.Read | RegionFlags.Write, 0, 0x4000, 0x1000, 0x1000);
        Assert.Equal(32, info.WriteTo(bytes, 63));
        AssertBytes("40 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00 00 00 00", bytes[..32]);
    }

    [Fact]
    public void Region_info_with_room_has_one_area()
    {
        var bytes = new byte[RegionInfo.FullSize];
        var info = new RegionInfo(RegionFlags.Read | RegionFlags.Write, 0, 0x4000, 0x1000, 0x1000);
        Assert.Equal(64, info.WriteTo(bytes, 64));
        AssertBytes(
            "40 00 00 00 0F 00 00 00 00 00 00 00 20 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
            + "01 00 01 00 00 00 00 00 01 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00 00 10 00 00 00 00 00 00", bytes);
        Assert.Equal((0x1000ul, 0x1000ul), (RegionInfo.ParseReply(bytes).Info.AreaOffset, RegionInfo.ParseReply(bytes).Info.AreaLength));
    }

    [Fact]
    public void Interrupt_info_is_16_bytes()
    {
        var bytes = new byte[IrqInfo.Size];
        new IrqInfo(IrqInfoFlags.Event, 2, 17).WriteTo(bytes);
        AssertBytes("10 00 00 00 01 00 00 00 02 00 00 00 11 00 00 00", bytes);
    }

    [Theory]
    [InlineData(0x24u, 5u, 1u)]
    [InlineData(0x20u, 2u, 1u)]
    [InlineData(0x04u, 2u, 1u)]
    [InlineData(0x26u, 2u, 1u)]
    [InlineData(0x64u, 2u, 1u)]
    [InlineData(0x22u, 2u, 1u)]
    public void Invalid_interrupt_action_is_rejected(uint flags, uint index, uint count)
    {
        var bytes = new byte[IrqSet.Size];
        new IrqSet((IrqSetFlags)flags, index, 0, count).WriteTo(bytes);
        Assert.Equal(ErrorNumber.Invalid, Assert.Throws<RequestFailedException>(() => IrqSet.Parse(bytes)).Error);
    }

    [Fact]
    public void Interrupt_action_is_20_bytes()
    {
        var bytes = new byte[IrqSet.Size];
        new IrqSet(IrqSetFlags.DataEvent | IrqSetFlags.Trigger, 2, 3, 1).WriteTo(bytes);
        AssertBytes("14 00 00 00 24 00 00 00 02 00 00 00 03 00 00 00 01 00 00 00", bytes);
    }

    [Fact]
    public void Region_access_is_16_bytes()
    {
        var bytes = new byte[RegionAccess.Size];
        new RegionAccess(0x1004, 7, 4).WriteTo(bytes);
        AssertBytes("04 10 00 00 00 00 00 00 07 00 00 00 04 00 00 00", bytes);
    }

    [Fact]
    public void Several_writes_are_24_bytes_each()
    {
        var bytes = new byte[RegionWrites.Size + (2 * RegionWrites.EntrySize)];
        RegionWrites.WriteCount(bytes, 2);
        new RegionAccess(0x1008, 0, 4).WriteTo(bytes.AsSpan(RegionWrites.Size + RegionWrites.EntrySize));
        bytes[RegionWrites.Size + RegionWrites.EntrySize + RegionAccess.Size] = 5;
        Assert.Equal(2, RegionWrites.ParseCount(bytes));
        Assert.Equal(new RegionAccess(0x1008, 0, 4), RegionWrites.ParseEntry(bytes, 1, out var data));
        Assert.Equal([5, 0, 0, 0], data.ToArray());
        Assert.Throws<RequestFailedException>(() => RegionWrites.ParseCount(bytes.AsSpan()[..^1]));
        bytes[0] = 1;
        Assert.Throws<RequestFailedException>(() => RegionWrites.ParseCount(bytes));
    }

    [Fact]
    public void Memory_access_has_a_count_of_eight_bytes()
    {
        var bytes = new byte[DmaAccess.Size];
        new DmaAccess(0x12345000, 512).WriteTo(bytes);
        AssertBytes("00 50 34 12 00 00 00 00 00 02 00 00 00 00 00 00", bytes);
    }

    private static void AssertBytes(string expected, byte[] bytes)
        => Assert.Equal(expected.Replace(' ', '-'), BitConverter.ToString(bytes));
}
