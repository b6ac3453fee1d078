using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>Both layouts of a ring, from the guest's side.</summary>
public class RingTests
{
    private const RingFeatures Split = RingFeatures.None, Packed = RingFeatures.Packed;
    private const RingFeatures Indirect = RingFeatures.Indirect, Events = RingFeatures.EventIndex;

    [Theory]
    [InlineData((int)Split)]
    [InlineData((int)Packed)]
    public void Request_keeps_its_segments_and_its_used_entry_holds_the_written_length(int features)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 8, (RingFeatures)features);
        var ring = driver.Open();
        Assert.False(ring.TryTake(out _));
        ulong first = arena.Put([1, 2, 3]), second = arena.Put([4]), room = arena.Allocate(5);
        int id = driver.Add([new(first, 3, false), new(second, 1, false), new(room, 5, true)]);
        Assert.True(ring.TryTake(out var chain));
        Assert.False(ring.TryTake(out _));
        Assert.Equal([[1, 2, 3], [4]], chain.Readable.ToArray().Select(p => p.ToArray()));
        Assert.Equal((4u, 5u), (chain.ReadableBytes, chain.WritableBytes));
        chain.Writable[0].Span.Fill(9);
        Assert.False(driver.TryGetUsed(out _, out _));
        Assert.Equal(1, ring.InFlight);
        ring.Complete(chain, 5);
        Assert.True(driver.TryGetUsed(out int used, out uint written));
        Assert.Equal((id, 5u), (used, written));
        Assert.Equal([9, 9, 9, 9, 9], arena.At(room, 5).ToArray());
        Assert.Equal(0, ring.InFlight);
    }

    [Theory]
    [InlineData((int)Split, 1)]
    [InlineData((int)Split, 16)]
    [InlineData((int)Packed, 1)]
    [InlineData((int)Packed, 5)]
    [InlineData((int)Packed, 16)]
    [InlineData((int)(Packed | Events), 7)]
    public void Rings_of_any_size_wrap_around(int features, int size)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, size, (RingFeatures)features);
        var ring = driver.Open();
        ulong room = arena.Allocate(16);
        var random = new Random(size);
        for (int done = 0; done < 70_000;)
        {
            // fill the ring with chains of one and two descriptors, complete them out of order
            var chains = new List<DescriptorChain>();
            var sent = new HashSet<int>();
            for (int left = size; left > 0;)
            {
                int count = Math.Min(left, random.Next(1, 3));
                sent.Add(driver.Add(count == 1 ? [new(room, 4, true)] : [new(room, 4, false), new(room, 4, true)]));
                left -= count;
            }

            while (ring.TryTake(out var chain))
            {
                chains.Add(chain);
            }

            Assert.Equal(sent.Count, chains.Count);
            foreach (var chain in chains.OrderBy(_ => random.Next()))
            {
                ring.Complete(chain, 4);
            }

            while (driver.TryGetUsed(out int id, out _))
            {
                Assert.True(sent.Remove(id));
            }

            Assert.Empty(sent);
            done += chains.Count;
        }
    }

    [Theory]
    [InlineData((int)Split)]
    [InlineData((int)Packed)]
    public void Ring_resumes_at_its_base(int features)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 4, (RingFeatures)features);
        var ring = driver.Open();
        ulong room = arena.Allocate(16);
        for (int i = 0; i < 1000; i++)
        {
            if (i % 7 == 6)
            {
                Assert.True(ring.CloseAsync().IsCompleted);
                ring = driver.Open(null, ring.Base);
            }

            int id = driver.Add(i % 2 == 0 ? [new(room, 1, true)] : [new(room, 1, false), new(room, 1, true)]);
            Assert.True(ring.TryTake(out var chain));
            ring.Complete(chain, 0);
            Assert.True(driver.TryGetUsed(out int used, out _));
            Assert.Equal(id, used);
        }
    }

    [Theory]
    [InlineData((int)Indirect)]
    [InlineData((int)(Packed | Indirect))]
    public void Indirect_table_occupies_one_descriptor_of_the_ring(int features)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 2, (RingFeatures)features);
        var ring = driver.Open();
        var pieces = Enumerable.Range(0, 40).Select(i => new Piece(arena.Put([(byte)i, 0]), 1, i >= 20)).ToArray();
        for (int i = 0; i < 10; i++)
        {
            int a = driver.Add(pieces, indirect: true), b = driver.Add(pieces.AsSpan(0, 3), indirect: true);
            Assert.True(ring.TryTake(out var first));
            Assert.True(ring.TryTake(out var second));
            Assert.Equal((20, 20, 3, 0), (first.Readable.Length, first.Writable.Length, second.Readable.Length, second.Writable.Length));
            Assert.Equal(19, first.Readable[19].Span[0]);
            ring.Complete(second, 0);
            ring.Complete(first, 20);
            Assert.True(driver.TryGetUsed(out int id, out _) && id == b);
            Assert.True(driver.TryGetUsed(out id, out _) && id == a);
        }
    }

    [Theory]
    [InlineData((int)Split)]
    [InlineData((int)Events)]
    [InlineData((int)Packed)]
    [InlineData((int)(Packed | Events))]
    public void Kicks_are_requested_only_when_enabled_and_none_is_lost(int features)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 8, (RingFeatures)features);
        var ring = driver.Open();
        ulong room = arena.Allocate(1);
        for (int i = 0; i < 40; i++)
        {
            Assert.False(ring.EnableNotifications());
            driver.Add([new(room, 1, true)]);
            Assert.True(driver.NeedsKick(), $"round {i}");
            ring.DisableNotifications();
            driver.Add([new(room, 1, true)]);
            Assert.False(driver.NeedsKick(), $"round {i}");
            Assert.True(ring.EnableNotifications());
            ring.DisableNotifications();
            while (ring.TryTake(out var chain))
            {
                ring.Complete(chain, 0);
                Assert.True(driver.TryGetUsed(out _, out _));
            }
        }
    }

    [Theory]
    [InlineData((int)Split)]
    [InlineData((int)Events)]
    [InlineData((int)Packed)]
    [InlineData((int)(Packed | Events))]
    public void Driver_is_notified_only_if_it_requests_a_notification(int features)
    {
        bool events = ((RingFeatures)features & Events) != 0;
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 8, (RingFeatures)features);
        var ring = driver.Open();
        ulong room = arena.Allocate(1);
        Assert.False(ring.ShouldNotify());
        One();
        Assert.True(ring.ShouldNotify());
        Assert.False(ring.ShouldNotify());
        for (int i = 0; i < 100; i++)
        {
            Reap();
            driver.Mute();
            One();
            Assert.False(ring.ShouldNotify(), $"round {i}: muted");
            Reap();
            driver.NotifyAfter(1);
            One();
            Assert.True(ring.ShouldNotify(), $"round {i}: at the next");
            Reap();
            driver.NotifyAfter(3);
            One();
            Assert.Equal(!events, ring.ShouldNotify());
            One();
            Assert.Equal(!events, ring.ShouldNotify());
            One();
            Assert.True(ring.ShouldNotify(), $"round {i}: at the third");
            One();
            Assert.Equal(!events, ring.ShouldNotify());
            Reap();
            driver.NotifyAfter(2);
            One();
            One();
            One();
            Assert.True(ring.ShouldNotify(), $"round {i}: a batch that passes it");
        }

        void One()
        {
            driver.Add([new(room, 1, true)]);
            Assert.True(ring.TryTake(out var chain));
            ring.Complete(chain, 0);
        }

        void Reap()
        {
            while (driver.TryGetUsed(out _, out _))
            {
            }
        }
    }

    [Fact]
    public unsafe void Split_event_index_holds_across_65536()
    {
        var arena = new GuestArena();
        var driver = new SplitDriver(arena, 4, Events);
        driver.Index = driver.Seen = 65530;
        *(ushort*)(driver.Used + 2) = 65530;
        var ring = driver.Open(null, 65530);
        ulong room = arena.Allocate(1);
        for (int i = 0; i < 12; i++)
        {
            Assert.False(ring.EnableNotifications());
            driver.NotifyAfter(1);
            driver.Add([new(room, 1, true)]);
            Assert.True(driver.NeedsKick());
            Assert.True(ring.TryTake(out var chain));
            ring.Complete(chain, 0);
            Assert.True(ring.ShouldNotify());
            Assert.True(driver.TryGetUsed(out _, out _));
        }

        Assert.Equal(6u, ring.Base);
    }

    [Theory]
    [InlineData((int)Split)]
    [InlineData((int)Packed)]
    public async Task Ring_is_drained_once_its_last_request_is_released(int features)
    {
        var arena = new GuestArena();
        var driver = RingDriver.Create(arena, 4, (RingFeatures)features);
        var ring = driver.Open();
        ulong room = arena.Allocate(1);
        driver.Add([new(room, 1, true)]);
        driver.Add([new(room, 1, true)]);
        driver.Add([new(room, 1, true)]);
        Assert.True(ring.TryTake(out var first));
        Assert.True(ring.TryTake(out var second));
        var closed = ring.CloseAsync();
        Assert.False(ring.TryTake(out _));
        ring.Complete(first, 0);
        ring.Put(second, 0);
        Assert.False(closed.IsCompleted);
        ring.Release();
        await closed;
        Assert.Equal((RingFeatures)features == Split ? 2u : 0x80028002u, ring.Base);
    }
}
