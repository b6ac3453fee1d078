using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>The flags of an extent, as the client takes them.</summary>
public class StatusFlagsTests
{
    private const BlockStatusFlags Data = BlockStatusFlags.Data, Zero = BlockStatusFlags.Zero;

    [Theory]
    [InlineData(0, null, Data)]
    [InlineData(1, null, BlockStatusFlags.None)]
    [InlineData(2, null, Data | Zero)]
    [InlineData(3, null, Zero)]
    [InlineData(4, null, Data)]
    [InlineData(5, null, BlockStatusFlags.None)]
    [InlineData(1, "qemu:dirty-bitmap:b", BlockStatusFlags.None)]
    [InlineData(4, "qemu:dirty-bitmap:b", Data)]
    [InlineData(2, "qemu:allocation-depth", Data | Zero)]
    [InlineData(3, "qemu:allocation-depth", Data | Zero)]
    [InlineData(4, "qemu:allocation-depth", Data | Zero)]
    public void Unknown_flags_do_not_turn_data_into_zeroes(uint extent, string? context, BlockStatusFlags expected)
        => Assert.Equal(expected, NbdClient.FlagsOf(extent, context) & (Data | Zero));
}
