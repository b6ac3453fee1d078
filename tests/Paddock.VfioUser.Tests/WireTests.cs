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
        Assert.Equal("01-02-09-00-20-00-00-00-21-00-00-00-16-00-00-00", BitConverter.ToString(bytes));
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
}
