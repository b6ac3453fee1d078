using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>Layout of every structure, byte by byte.</summary>
public class WireTests
{
    [Fact]
    public void Header_is_12_bytes()
    {
        byte[] bytes = new byte[MessageHeader.Size];
        var header = new MessageHeader((uint)FrontEndRequest.SetVringKick, HeaderFlags.Version | HeaderFlags.NeedReply, 8);
        header.WriteTo(bytes);
        Assert.Equal("0C000000" + "09000000" + "08000000", Convert.ToHexString(bytes));
        Assert.Equal(header, MessageHeader.Parse(bytes));
        Assert.True(header.NeedsReply);
    }

    [Theory]
    [InlineData("01000000" + "00000000" + "00000000", 4)]
    [InlineData("01000000" + "02000000" + "00000000", 4)]
    [InlineData("01000000" + "05000000" + "00000000", 4)]
    [InlineData("01000000" + "11000000" + "00000000", 4)]
    [InlineData("01000000" + "01000000" + "01040000", 8)]
    [InlineData("01000000" + "01000000" + "FFFFFFFF", 8)]
    public void Header_with_another_version_reply_flag_or_long_payload_is_rejected(string hex, int offset)
    {
        var refused = Assert.Throws<VhostUserException>(() => MessageHeader.Parse(Convert.FromHexString(hex)));
        Assert.Equal((nameof(MessageHeader), offset), (refused.Structure, refused.Offset));
    }

    [Fact]
    public void Number_and_ring_descriptor_are_8_bytes()
    {
        byte[] bytes = new byte[U64Payload.Size];
        U64Payload.Write(bytes, 0x1122334455667788);
        Assert.Equal("8877665544332211", Convert.ToHexString(bytes));
        Assert.Equal(0x1122334455667788UL, U64Payload.Parse(bytes));
        Assert.Throws<VhostUserException>(() => U64Payload.Parse(bytes.AsSpan(1)));

        new VringDescriptor(3, HasDescriptor: false).WriteTo(bytes);
        Assert.Equal("0301000000000000", Convert.ToHexString(bytes));
        Assert.Equal(new VringDescriptor(3, false), VringDescriptor.Parse(bytes));
        new VringDescriptor(255, HasDescriptor: true).WriteTo(bytes);
        Assert.Equal("FF00000000000000", Convert.ToHexString(bytes));
        Assert.Throws<VhostUserException>(() => VringDescriptor.Parse([0, 2, 0, 0, 0, 0, 0, 0]));
    }

    [Fact]
    public void Ring_state_and_addresses_are_8_and_40_bytes()
    {
        byte[] state = new byte[VringState.Size], address = new byte[VringAddress.Size];
        new VringState(1, 0x102).WriteTo(state);
        Assert.Equal("01000000" + "02010000", Convert.ToHexString(state));
        Assert.Equal(new VringState(1, 0x102), VringState.Parse(state));

        var full = new VringAddress(2, 0, 0x1000, 0x2000, 0x3000, 0x4000);
        full.WriteTo(address);
        Assert.Equal(
            "02000000" + "00000000" + "0010000000000000" + "0020000000000000" + "0030000000000000" + "0040000000000000",
            Convert.ToHexString(address));
        Assert.Equal(full, VringAddress.Parse(address));
        address[4] = 1;
        Assert.Equal(4, Assert.Throws<VhostUserException>(() => VringAddress.Parse(address)).Offset);
    }

    [Fact]
    public void Memory_table_is_8_bytes_plus_32_per_region_and_a_single_region_40()
    {
        RegionDescription[] regions = [new(0, 0xA0000, 0x7F00_0000_0000, 0), new(0x1_0000_0000, 0x200000, 0x7F10_0000_0000, 0xA0000)];
        byte[] table = new byte[MemoryTable.SizeOf(2)], single = new byte[SingleRegion.Size];
        MemoryTable.Write(table, regions);
        Assert.Equal(
            "02000000" + "00000000" + "0000000000000000" + "00000A0000000000" + "00000000007F0000" + "0000000000000000"
            + "0000000001000000" + "0000200000000000" + "00000000107F0000" + "00000A0000000000",
            Convert.ToHexString(table));
        Assert.Equal(regions, MemoryTable.Parse(table));
        SingleRegion.Write(single, regions[0]);
        Assert.Equal(new string('0', 16) + Convert.ToHexString(table.AsSpan(8, 32)), Convert.ToHexString(single));
        Assert.Equal(regions[0], SingleRegion.Parse(single));
    }

    [Theory]
    [InlineData(9, 8 + (9 * 32))]
    [InlineData(1, 8 + 64)]
    [InlineData(2, 8 + 32)]
    [InlineData(0, 4)]
    public void Memory_table_whose_length_does_not_match_is_rejected(int count, int length)
    {
        byte[] table = new byte[length];
        table[0] = (byte)count;
        Assert.Throws<VhostUserException>(() => MemoryTable.Parse(table));
    }

    [Theory]
    [InlineData(0UL, 0UL, 0UL, 0UL)]
    [InlineData(0UL, (1UL << 44) + 1, 0UL, 0UL)]
    [InlineData(ulong.MaxValue - 0xfff, 0x1000UL, 0UL, 0UL)]
    [InlineData(0UL, 0x1000UL, ulong.MaxValue, 0UL)]
    [InlineData(0UL, 0x1000UL, 0UL, long.MaxValue - 1UL)]
    public void Region_that_is_empty_too_long_or_wraps_is_rejected(ulong guest, ulong length, ulong user, ulong offset)
    {
        byte[] bytes = new byte[RegionDescription.Size];
        new RegionDescription(guest, length, user, offset).WriteTo(bytes);
        Assert.Throws<VhostUserException>(() => RegionDescription.Parse(bytes));
    }

    [Fact]
    public void Configuration_access_is_12_bytes_plus_contents()
    {
        byte[] bytes = new byte[ConfigAccess.ContentsAt + 2];
        new ConfigAccess(8, 2, 1).WriteTo(bytes);
        Assert.Equal("08000000" + "02000000" + "01000000" + "0000", Convert.ToHexString(bytes));
        Assert.Equal(new ConfigAccess(8, 2, 1), ConfigAccess.Parse(bytes));
        Assert.Throws<VhostUserException>(() => ConfigAccess.Parse(bytes.AsSpan(0, 13)));
        new ConfigAccess(255, 2, 0).WriteTo(bytes);
        Assert.Throws<VhostUserException>(() => ConfigAccess.Parse(bytes));
        new ConfigAccess(-1, 2, 0).WriteTo(bytes);
        Assert.Throws<VhostUserException>(() => ConfigAccess.Parse(bytes));
    }

    [Fact]
    public void Inflight_description_is_20_or_24_bytes()
    {
        byte[] bytes = new byte[InflightDescription.PaddedSize];
        var description = new InflightDescription(0x1000, 0x20, 2, 128);
        description.WriteTo(bytes);
        Assert.Equal("0010000000000000" + "2000000000000000" + "0200" + "8000" + "00000000", Convert.ToHexString(bytes));
        Assert.Equal(description, InflightDescription.Parse(bytes));
        Assert.Equal(description, InflightDescription.Parse(bytes.AsSpan(0, InflightDescription.Size)));
        Assert.Throws<VhostUserException>(() => InflightDescription.Parse(bytes.AsSpan(0, 22)));
    }
}
