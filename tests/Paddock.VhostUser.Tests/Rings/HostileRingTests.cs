using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>Driver errors are rejected with a message that names them.</summary>
public unsafe class HostileRingTests
{
    private const RingFeatures Packed = RingFeatures.Packed, Indirect = RingFeatures.Indirect;
    private const int Next = 1, Table = 4;
    private const ushort Write = 2;

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(65536)]
    public void Split_ring_size_must_be_a_power_of_two(int size)
    {
        var arena = new GuestArena();
        Assert.Throws<RingException>(() => Virtqueue.Create(arena.Memory, 0, size, new SplitDriver(arena, 8, 0).Addresses, 0, null));
    }

    [Theory]
    [InlineData((int)RingFeatures.None)]
    [InlineData((int)Packed)]
    public void Ring_part_outside_memory_or_misaligned_is_rejected(int features)
    {
        var arena = new GuestArena();
        var good = RingDriver.Create(arena, 8, (RingFeatures)features).Addresses;
        ulong end = GuestArena.ToUser(GuestArena.Guest) + (ulong)arena.Size;
        foreach (var bad in new[]
        {
            good with { Descriptors = 0 }, good with { Descriptors = end - 16 }, good with { Descriptors = good.Descriptors + 8 },
            good with { Driver = ulong.MaxValue }, good with { Driver = good.Driver + 1 }, good with { Device = end },
            good with { Device = good.Device + 2 },
        })
        {
            Assert.Throws<RingException>(() => Virtqueue.Create(arena.Memory, (RingFeatures)features, 8, bad, 0, null));
        }
    }

    [Fact]
    public void Available_index_too_far_ahead_is_rejected()
    {
        var driver = new SplitDriver(new GuestArena(), 8, 0);
        var ring = driver.Open();
        driver.Index = 9;
        Assert.Contains("9 entries ahead", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Head_outside_the_table_is_rejected()
    {
        var driver = new SplitDriver(new GuestArena(), 8, 0);
        var ring = driver.Open();
        driver.Publish(8);
        Assert.Contains("descriptor 8", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Head_already_in_flight_is_rejected()
    {
        var arena = new GuestArena();
        var driver = new SplitDriver(arena, 8, 0);
        var ring = driver.Open();
        driver.Publish((ushort)driver.Add([new(arena.Allocate(1), 1, true)]));
        Assert.True(ring.TryTake(out _));
        Assert.Contains("in flight", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 16, Next, 0, "loops")]
    [InlineData(0, 16, Next, 8, "goes on at 8")]
    [InlineData(0, 0, 0, 0, "0 bytes")]
    [InlineData(-1, 16, 0, 0, "not inside")]
    [InlineData(0, -1, 0, 0, "not inside")]
    [InlineData(0, 16, Table, 0, "not agreed")]
    public void Invalid_descriptor_of_a_split_ring_is_rejected(long address, int length, int flags, int next, string why)
    {
        var arena = new GuestArena();
        var driver = new SplitDriver(arena, 8, 0);
        var ring = driver.Open();
        Put(driver.Table, address == 0 ? arena.Allocate(16) : (ulong)address, (uint)length, (ushort)flags, (ushort)next);
        driver.Publish(0);
        for (int i = 0; i < 3; i++)
        {
            Assert.Contains(why, Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, ring.InFlight);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Readable_segment_after_a_writable_one_is_rejected(bool packed)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 8, packed ? Packed : 0);
        var ring = driver.Open();
        ulong at = arena.Allocate(16);
        driver.Add([new(at, 1, true), new(at, 1, false)]);
        Assert.Contains("follows", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, 15, 0, 0, "15 bytes")]
    [InlineData(false, 0, 0, 0, "0 bytes")]
    [InlineData(false, 16 * 1025, 0, 0, "16400 bytes")]
    [InlineData(false, 16, Table, 0, "within")]
    [InlineData(false, 16, Next, 1, "goes on at 1")]
    [InlineData(false, 32, Next, 0, "loops")]
    [InlineData(true, 15, 0, 0, "15 bytes")]
    [InlineData(true, 16 * 1025, 0, 0, "16400 bytes")]
    [InlineData(true, 16, Table, 0, "within")]
    public void Invalid_indirect_table_is_rejected(bool packed, int length, int flags, int next, string why)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 8, Indirect | (packed ? Packed : 0));
        var ring = driver.Open();
        ulong table = arena.Allocate(32 * 1024), at = arena.Allocate(16);
        if (packed)
        {
            Put(arena.Place(table), at, 16, 0, (ushort)flags);
            Put(((PackedDriver)driver).Ring, table, (uint)length, 0, Table | 0x80);
        }
        else
        {
            Put(arena.Place(table), at, 16, (ushort)flags, (ushort)next);
            Put(((SplitDriver)driver).Table, table, (uint)length, Table, 0);
            ((SplitDriver)driver).Publish(0);
        }

        Assert.Contains(why, Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Indirect_table_ends_its_chain()
    {
        var arena = new GuestArena();
        var driver = new SplitDriver(arena, 8, Indirect);
        var ring = driver.Open();
        ulong table = arena.Allocate(16), at = arena.Allocate(16);
        Put(arena.Place(table), at, 16, 0, 0);
        Put(driver.Table, table, 16, Table | Next, 1);
        driver.Publish(0);
        Assert.Contains(
            "before the chain's end", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);

        // other descriptors may precede it
        var other = new SplitDriver(arena, 8, Indirect);
        ring = other.Open();
        Put(other.Table, at, 16, Next, 3);
        Put(other.Table + 48, table, 16, Table, 0);
        other.Publish(0);
        Assert.True(ring.TryTake(out var chain));
        Assert.Equal((2, 32u), (chain.Readable.Length, chain.ReadableBytes));
    }

    [Fact]
    public void Endless_packed_chain_is_rejected()
    {
        var arena = new GuestArena();
        var driver = new PackedDriver(arena, 3, Packed);
        var ring = driver.Open();
        for (int i = 0; i < 3; i++)
        {
            Put(driver.Ring + (16 * i), arena.Allocate(1), 1, 0, Next | 0x80);
        }

        Assert.Contains("does not end", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Packed_ring_holds_no_more_requests_than_descriptors()
    {
        var arena = new GuestArena();
        var driver = new PackedDriver(arena, 2, Packed);
        var ring = driver.Open();
        ulong at = arena.Allocate(1);
        Put(driver.Ring, at, 1, 0, Write | 0x80);
        Put(driver.Ring + 16, at, 1, 1, Write | 0x80);
        Assert.True(ring.TryTake(out _));
        Assert.True(ring.TryTake(out _));
        Put(driver.Ring, at, 1, 0, Write | 0x8000);
        Assert.Contains("in flight", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Packed_base_outside_the_ring_is_rejected()
    {
        var driver = new PackedDriver(new GuestArena(), 4, Packed);
        Assert.Throws<RingException>(() => driver.Open(null, 4));
        Assert.Throws<RingException>(() => driver.Open(null, 0x0004_0001));
    }

    [Fact]
    public void Chain_above_4_GiB_is_rejected()
    {
        var arena = new GuestArena(128 << 20);
        var driver = RingDriver.Create(arena, 8, Indirect);
        var ring = driver.Open();
        driver.Add([.. Enumerable.Repeat(new Piece(GuestArena.Guest, 100 << 20, true), 41)], indirect: true);
        Assert.Contains("2^32", Assert.Throws<RingException>(() => ring.TryTake(out _)).Message, StringComparison.Ordinal);
    }

    private static void Put(byte* at, ulong address, uint length, ushort at12, ushort at14)
    {
        *(ulong*)at = address;
        *(uint*)(at + 8) = length;
        *(ushort*)(at + 12) = at12;
        *(ushort*)(at + 14) = at14;
    }
}
