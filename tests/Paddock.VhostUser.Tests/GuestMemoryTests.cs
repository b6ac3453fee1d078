using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Tests;

/// <summary>A range must lie completely inside one region.</summary>
public unsafe class GuestMemoryTests
{
    private const ulong Guest = 0x1000, User = 0x7f00_0000_0000;

    [Theory]
    [InlineData(0x1000, 0x1000, true)]
    [InlineData(0x1fff, 1, true)]
    [InlineData(0x1fff, 2, false)]
    [InlineData(0x0fff, 1, false)]
    [InlineData(0x2000, 0, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    [InlineData(0x1000, uint.MaxValue, false)]
    public void Range_must_lie_inside_a_region(ulong address, uint length, bool expected)
    {
        byte[] bytes = GC.AllocateArray<byte>(0x1000, pinned: true);
        fixed (byte* start = bytes)
        {
            var memory = new GuestMemory([new MappedRegion(Guest, User, 0x1000, (nint)start)]);
            Assert.Equal(expected, memory.TryGet(address, length, out var run));
            Assert.Equal(expected ? (int)length : 0, run.Length);
            Assert.Equal(expected, memory.Find(address, length) != null);
            Assert.Equal(expected, memory.FindUser(address - Guest + User, length) != null);
        }
    }

    [Fact]
    public void Overlapping_regions_are_rejected()
        => Assert.Throws<ArgumentException>(
            () => new GuestMemory([new MappedRegion(0, 0, 0x2000, 1), new MappedRegion(0x1000, 0, 0x1000, 1)]));

    [Fact]
    public void Region_that_wraps_is_rejected()
        => Assert.Throws<ArgumentOutOfRangeException>(() => new MappedRegion(ulong.MaxValue - 10, 0, 0x1000, 1));
}
