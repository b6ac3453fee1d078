using System.Runtime.InteropServices;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>A back end killed between any two stores: its successor completes every request once, in the original order.</summary>
public unsafe class InflightTests
{
    private const int Size = 8;

    [Fact]
    public void Record_of_a_split_ring_has_the_layout_of_the_protocol()
    {
        var arena = new GuestArena(256 << 10);
        var driver = new SplitDriver(arena, Size, 0);
        var region = arena.Inflight(Size, false);
        byte* at = (byte*)region.Start;
        Assert.Equal(192, region.Length);
        var ring = driver.Open(region);
        Assert.Equal("0000000000000000" + "0100" + "0800" + "0000" + "0000", Hex(at, 16));
        ulong room = arena.Allocate(1);
        driver.Add([new(room, 1, true)]);
        driver.Add([new(room, 1, true)]);
        Assert.True(ring.TryTake(out var first));
        Assert.True(ring.TryTake(out var second));
        Assert.Equal("0100000000000000" + "0000000000000000" + "0100000000000000" + "0100000000000000", Hex(at + 16, 32));
        ring.Complete(second, 0);
        Assert.Equal("0100" + "0100", Hex(at + 12, 4));
        Assert.Equal("0000000000000000" + "0100000000000000", Hex(at + 32, 16));
        ring.Complete(first, 0);
        Assert.Equal("0000" + "0200", Hex(at + 12, 4));
        Assert.Equal("0000000000000100" + "0000000000000000", Hex(at + 16, 16));
    }

    [Fact]
    public void Record_of_a_packed_ring_has_the_layout_of_the_protocol()
    {
        var arena = new GuestArena(256 << 10);
        var driver = new PackedDriver(arena, Size, RingFeatures.Packed);
        var region = arena.Inflight(Size, true);
        byte* at = (byte*)region.Start;
        Assert.Equal(320, region.Length);
        var ring = driver.Open(region);
        Assert.Equal(
            "0000000000000000" + "0100" + "0800" + "0000" + "0000" + "0000" + "0000" + "01" + "01" + "00000000000000000000", Hex(at, 32));
        driver.Add([new(GuestArena.Guest + 0x10, 1, false), new(GuestArena.Guest + 0x20, 2, true)]);
        Assert.True(ring.TryTake(out var chain));
        Assert.Equal("0200" + "0200", Hex(at + 12, 4));
        Assert.Equal("01" + "00" + "0100" + "0100" + "0200" + "0000000000000000" + "0000" + "8100" + "01000000"
            + "1000004000000000", Hex(at + 32, 32));
        Assert.Equal("00" + "00" + "0200" + "0000" + "0000" + "0000000000000000" + "0000" + "8200" + "02000000"
            + "2000004000000000", Hex(at + 64, 32));
        ring.Complete(chain, 0);
        Assert.Equal("0000" + "0000" + "0200" + "0200" + "01" + "01", Hex(at + 12, 10));
        Assert.Equal("00", Hex(at + 32, 1));
        Assert.Equal("0200", Hex(at + 66, 2));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_complete_once_and_in_order_after_a_kill_at_any_store(bool packed)
    {
        int crashes = 0;
        for (int seed = 1; seed <= 60; seed++)
        {
            crashes += new Crasher(packed, seed).Run(400);
        }

        Assert.True(crashes > 2000, $"{crashes} crashes");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Successor_sends_a_missed_notification(bool packed)
    {
        var arena = new GuestArena(256 << 10);
        var driver = RingDriver.Create(arena, Size, packed ? RingFeatures.Packed : 0);
        var region = arena.Inflight(Size, packed);
        var ring = driver.Open(region);
        driver.Add([new(arena.Allocate(1), 1, true)]);
        Assert.True(ring.TryTake(out var chain));
        ring.Complete(chain, 0);
        ring = driver.Open(region);
        Assert.False(ring.TryTake(out _));
        Assert.True(ring.ShouldNotify());
        Assert.False(ring.ShouldNotify());
    }

    [Theory]
    [InlineData(false, 8, 2, "version 2")]
    [InlineData(false, 10, 4, "of 4 descriptors")]
    [InlineData(true, 8, 7, "version 7")]
    [InlineData(true, 10, 4, "of 4 descriptors")]
    [InlineData(true, 10, 0x4000, "of 16384 descriptors")]
    [InlineData(true, 18, 8, "used index 8")]
    [InlineData(true, 14, 9, "goes to 9")]
    [InlineData(true, 34, 0, "loops")]
    public void Damaged_record_is_rejected(bool packed, int offset, int value, string why)
    {
        var arena = new GuestArena(256 << 10);
        var driver = RingDriver.Create(arena, Size, packed ? RingFeatures.Packed : 0);
        var region = arena.Inflight(Size, packed);
        _ = driver.Open(region);
        *(ushort*)(region.Start + offset) = (ushort)value;
        Assert.Contains(why, Assert.Throws<RingException>(() => driver.Open(region)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Record_that_is_too_short_is_rejected()
    {
        var arena = new GuestArena(256 << 10);
        var split = new SplitDriver(arena, Size, 0);
        var region = arena.Inflight(Size, true);
        Assert.Throws<RingException>(() => split.Open(region with { Length = 143 }));
        Assert.Throws<RingException>(() => split.Open(region with { Start = region.Start + 4 }));
        var packed = new PackedDriver(arena, Size, RingFeatures.Packed);
        Assert.Throws<RingException>(() => packed.Open(region with { Length = 287 }));
    }

    private static string Hex(byte* at, int length) => Convert.ToHexStringLower(new ReadOnlySpan<byte>(at, length));

    /// <summary>Random work interrupted inside a step, after any of the stores in the order that the protocol requires.</summary>
    private sealed class Crasher
    {
        private readonly bool _packed;
        private readonly int _seed;
        private readonly Random _random;
        private readonly GuestArena _arena = new(32 << 10);
        private readonly RingDriver _driver;
        private readonly InflightRegion _region;
        private readonly ulong _room;
        private readonly Dictionary<int, int> _lengths = [];
        private List<DescriptorChain> _held = [];
        private Virtqueue _ring;
        private int _left = Size;

        public Crasher(bool packed, int seed)
        {
            (_packed, _seed, _random) = (packed, seed, new Random(seed));
            _driver = RingDriver.Create(_arena, Size, packed ? RingFeatures.Packed : 0);
            _region = _arena.Inflight(Size, packed);
            _room = _arena.Allocate(4);
            _ring = _driver.Open(_region);
        }

        public int Run(int steps)
        {
            int crashes = 0;
            for (int step = 0; step < steps; step++)
            {
                switch (_random.Next(4))
                {
                    case 0:
                        Add();
                        break;
                    case 1:
                        Reap();
                        break;
                    case 2 when _ring.InFlight < _lengths.Count:
                        crashes += Step(Take);
                        break;
                    case 3 when _held.Count > 0:
                        crashes += Step(Complete);
                        break;
                }
            }

            while (_ring.TryTake(out var chain))
            {
                _held.Add(chain);
            }

            _held.ForEach(c => _ring.Complete(c, 0));
            Reap();
            Assert.True(_lengths.Count == 0, $"seed {_seed}: {_lengths.Count} requests are lost");
            return crashes;
        }

        private void Add()
        {
            int count = _random.Next(1, 4);
            if (count <= _left)
            {
                _left -= count;
                var pieces = new Piece[count];
                Array.Fill(pieces, new Piece(_room, 1, true));
                int id = _driver.Add(pieces);
                Assert.True(_lengths.TryAdd(id, count), $"seed {_seed}");
            }
        }

        private void Reap()
        {
            while (_driver.TryGetUsed(out int id, out _))
            {
                Assert.True(_lengths.Remove(id, out int count), $"seed {_seed}: {id} was completed twice");
                _left += count;
            }
        }

        private (int, int)[] Take()
        {
            if (!_ring.TryTake(out var chain))
            {
                return [];
            }

            _held.Add(chain);
            int region = (int)(_region.Start - (nint)_arena.Place(GuestArena.Guest));
            if (!_packed)
            {
                int entry = region + 16 + (16 * chain.Id);
                return [(entry + 8, 8), (entry, 1)];
            }

            int at = region + 32 + (32 * chain.InflightIndex);
            var fields = new List<(int, int)> { (at + 6, 2), (at + 8, 8), (at, 1) };
            for (int i = 0; i < chain.RingDescriptors; i++)
            {
                fields.AddRange([(at + 24, 8), (at + 20, 4), (at + 18, 2), (at + 16, 2), (region + 12, 2)]);
                at = region + 32 + (32 * *(ushort*)(_arena.Place(GuestArena.Guest) + at + 2));
            }

            fields.AddRange([(region + 32 + (32 * chain.InflightIndex) + 4, 2), (region + 14, 2)]);
            return [.. fields];
        }

        private (int, int)[] Complete()
        {
            int index = _random.Next(_held.Count);
            var chain = _held[index];
            _held.RemoveAt(index);
            byte* start = _arena.Place(GuestArena.Guest);
            int region = (int)(_region.Start - (nint)start);
            if (!_packed)
            {
                var split = (SplitDriver)_driver;
                int used = (int)(split.Used - start), slot = used + 4 + (8 * (split.UsedIndex % Size)), entry = region + 16
                    + (16 * chain.Id);
                _ring.Complete(chain, 0);
                return [(slot, 8), (entry + 6, 2), (region + 12, 2), (used + 2, 2), (entry, 1), (region + 14, 2)];
            }

            int head = region + 32 + (32 * chain.InflightIndex), last = region + 32 + (32 * *(ushort*)(start + head + 4));
            int descriptor = (int)(((PackedDriver)_driver).Ring - start) + (16 * *(ushort*)(start + region + 16));
            _ring.Complete(chain, 0);
            return
            [
                (last + 2, 2), (region + 12, 2), (region + 16, 2), (region + 20, 1), (descriptor + 8, 4), (descriptor + 12, 2),
                (descriptor + 14, 2), (head, 1), (region + 14, 2), (region + 18, 2), (region + 21, 1),
            ];
        }

        private int Step(Func<(int Offset, int Length)[]> step)
        {
            var memory = _arena.At(GuestArena.Guest, _arena.Size);
            byte[] before = memory.ToArray();
            var held = _held.ToList();
            var stores = step();
            byte[] after = memory.ToArray();
            if (_random.Next(3) != 0)
            {
                return 0;
            }

            before.CopyTo(memory);
            int kept = _random.Next(stores.Length + 1);
            foreach (var (offset, length) in stores)
            {
                after.AsSpan(offset, length).CopyTo(before.AsSpan(offset));
            }

            Assert.True(before.AsSpan().SequenceEqual(after), $"seed {_seed}: a step stores more than is known");
            foreach (var (offset, length) in stores.Take(kept))
            {
                after.AsSpan(offset, length).CopyTo(memory[offset..]);
            }

            Restart(held);
            return 1;
        }

        private void Restart(List<DescriptorChain> held)
        {
            int[] order = [.. held.Select(c => (int)c.Id)];
            _ring = _driver.Open(_region);
            _held = [];
            Reap();
            while (_ring.TryTake(out var chain))
            {
                _held.Add(chain);
                if (!chain.IsReplay)
                {
                    break;
                }
            }

            // held requests are replayed, except those the driver saw completed; the one being taken may be replayed or be new
            int[] replayed = [.. _held.Where(c => c.IsReplay).Select(c => (int)c.Id)];
            int[] expected = [.. order.Where(_lengths.ContainsKey)];
            Assert.True(replayed.Take(expected.Length).SequenceEqual(expected), $"seed {_seed}: {string.Join(' ', replayed)}");
            Assert.InRange(replayed.Length, expected.Length, expected.Length + 1);
        }
    }
}
