using System.Buffers.Binary;
using System.Security.Cryptography;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>A front end and a server over a real socket, with real shared memory.</summary>
public class SessionTests
{
    private const ulong GuestAt = 0x10_0000;
    private const int RamBytes = 4 << 20;

    [Fact]
    public async Task Server_reports_its_features()
    {
        await using var bench = new Bench(queues: 3);
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = bench.Connect(ram);
        ulong features = frontEnd.AskNumber(FrontEndRequest.GetFeatures);
        foreach (int bit in new[] { 9, 12, 28, 29, 30, 32, 34 })
        {
            Assert.True((features >> bit & 1) != 0, $"bit {bit}");
        }

        Assert.Equal(0x1B229UL, frontEnd.AskNumber(FrontEndRequest.GetProtocolFeatures));
        Assert.Equal(3UL, frontEnd.AskNumber(FrontEndRequest.GetQueueNum));
        Assert.Equal(509UL, frontEnd.AskNumber(FrontEndRequest.GetMaxMemorySlots));

        byte[] access = new byte[ConfigAccess.ContentsAt + 60];
        new ConfigAccess(0, 60, 0).WriteTo(access);
        var reply = frontEnd.Ask(FrontEndRequest.GetConfig, access);
        Assert.Equal(access.Length, reply.Header.Length);
        Assert.Equal(Bench.DiskBytes / 512, BinaryPrimitives.ReadInt64LittleEndian(reply.Payload[ConfigAccess.ContentsAt..]));
    }

    [Theory]
    [InlineData(false, 64)]
    [InlineData(true, 64)]
    [InlineData(true, 63)]
    [InlineData(false, 4)]
    public async Task Written_data_reads_back_and_a_stopped_ring_resumes_at_its_base(bool packed, int size)
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram, packed, size);
        using (frontEnd)
        using (ring)
        {
            for (int i = 0; i < 100; i++)
            {
                byte[] data = RandomNumberGenerator.GetBytes(4096);
                frontEnd.Write(ring, i * 4096, data);
                Assert.Equal(data, frontEnd.Read(ring, i * 4096, data.Length));
                if (i % 10 == 9)
                {
                    uint at = frontEnd.AskBase(0);
                    frontEnd.Start(0, ring, at);
                }
            }

            Assert.True(ring.Call.Take() > 0);
            Assert.Equal(0UL, ring.Error.Take());
        }

        Assert.Equal(100, bench.Writes.Count);
        Assert.Equal((100L, 100L), (bench.Server.Statistics[ServedOperation.Read], bench.Server.Statistics[ServedOperation.Write]));
        Assert.Equal(100, bench.Server.Latencies.CountsOf(ServedOperation.Write).Sum());
    }

    [Fact]
    public async Task Queues_run_in_parallel()
    {
        const int queues = 4;
        await using var bench = new Bench(queues);
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate(FrontEnd.Version1 | (1UL << 12));
        frontEnd.ShareMemory();
        var rings = Enumerable.Range(0, queues).Select(i => frontEnd.Ring(i, 16, packed: false)).ToArray();
        for (int i = 0; i < queues; i++)
        {
            frontEnd.Start(i, rings[i], 0);
        }

        for (int round = 0; round < 50; round++)
        {
            var put = rings.Select((r, i) => frontEnd.Put(r, 1, ((round * queues) + i) * 512, new byte[512], 512)).ToArray();
            for (int i = 0; i < queues; i++)
            {
                rings[i].Kick.Signal();
            }

            for (int i = 0; i < queues; i++)
            {
                Assert.Equal(put[i].Id, rings[i].Get(TestContext.Current.CancellationToken).Id);
            }
        }

        Assert.Equal(50 * queues, bench.Writes.Distinct().Count());
        Array.ForEach(rings, r => r.Dispose());
    }

    [Fact]
    public async Task Ring_without_a_kick_is_polled_and_a_disabled_one_is_not_served()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram);
        using (frontEnd)
        using (ring)
        {
            frontEnd.TellEvent(FrontEndRequest.SetVringKick, 0, null);
            var (id, _, _) = frontEnd.Put(ring, 1, 0, new byte[512], 512);
            Assert.Equal(id, ring.Get(TestContext.Current.CancellationToken).Id);

            frontEnd.TellState(FrontEndRequest.SetVringEnable, 0, 0);
            (id, _, _) = frontEnd.Put(ring, 1, 512, new byte[512], 512);
            Assert.False(ring.TryGet(out _, out _));
            Assert.Single(bench.Writes);
            frontEnd.TellState(FrontEndRequest.SetVringEnable, 0, 1);
            Assert.Equal(id, ring.Get(TestContext.Current.CancellationToken).Id);
        }
    }

    [Fact]
    public async Task Regions_are_added_and_removed_under_load()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram);
        using var other = new GuestRam(0x1_0000_0000, 1 << 20);
        byte[] region = new byte[SingleRegion.Size];
        SingleRegion.Write(region, other.Description);
        using (frontEnd)
        using (ring)
        {
            for (int round = 0; round < 30; round++)
            {
                // in flight while the table changes
                byte[] data = RandomNumberGenerator.GetBytes(2048);
                for (int i = 0; i < 8; i++)
                {
                    frontEnd.Put(ring, 1, i * 2048, data, data.Length);
                }

                ring.Kick.Signal();
                Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.AddMemoryRegion, region, acknowledged: true, other.File));
                FrontEnd.WriteFrom(other, ring);
                Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.RemoveMemoryRegion, region));
                for (int i = 0; i < 9; i++)
                {
                    ring.Get(TestContext.Current.CancellationToken);
                }

                Assert.Equal(data, frontEnd.Read(ring, 7 * 2048, data.Length));
            }

            Assert.Equal(1UL, frontEnd.Tell(FrontEndRequest.RemoveMemoryRegion, region));
        }
    }

    [Fact]
    public async Task Rings_survive_a_new_memory_table()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram);
        using (frontEnd)
        using (ring)
        {
            for (int i = 0; i < 10; i++)
            {
                frontEnd.Write(ring, i * 512, new byte[512]);
                frontEnd.ShareMemory();
            }

            // a ring without memory stops; it resumes when its memory is mapped again
            byte[] none = new byte[MemoryTable.SizeOf(0)];
            Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetMemoryTable, none));
            frontEnd.ShareMemory();
            frontEnd.Write(ring, 0, new byte[512]);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Requests_in_flight_at_a_crash_are_replayed_once_in_order(bool packed)
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        byte[] description = new byte[InflightDescription.PaddedSize];
        byte[] ramThen, recordThen;
        using var ring = FrontEndRing(ram, packed);
        using (var frontEnd = bench.Connect(ram))
        {
            frontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
            frontEnd.ShareMemory();
            new InflightDescription(0, 0, 1, 16).WriteTo(description);
            var reply = frontEnd.Ask(FrontEndRequest.GetInflightDescriptor, description);
            reply.Payload.CopyTo(description);
            using var file = reply.TakeDescriptor(0);
            Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, file));
            frontEnd.Start(0, ring, Bench.StartOf(packed));
            frontEnd.Write(ring, 0, new byte[512]);

            var hold = new TaskCompletionSource();
            bench.Disk.Around = async (_, run) =>
            {
                await hold.Task;
                await run();
            };
            for (int i = 1; i <= 3; i++)
            {
                frontEnd.Put(ring, 1, i * 512, new byte[512], 512);
            }

            ring.Kick.Signal();
            Assert.True(SpinWait.SpinUntil(() => bench.Disk.Count(DeviceCall.Write) == 4, TimeSpan.FromSeconds(30)));

            // the state that a server killed at this moment leaves
            recordThen = GuestRam.CopyOf(file, (int)InflightDescription.Parse(description).Length);
            ramThen = ram.Span(GuestAt, RamBytes).ToArray();
            bench.Disk.Around = null;
            hold.SetResult();
        }

        Assert.True(SpinWait.SpinUntil(() => bench.Server.Connections == 0, TimeSpan.FromSeconds(30)));
        bench.Disk.Forget();
        ramThen.CopyTo(ram.Span(GuestAt, RamBytes));
        using var kept = GuestRam.FileOf(recordThen);
        using (var frontEnd = bench.Connect(ram))
        {
            frontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
            frontEnd.ShareMemory();
            Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, kept));
            frontEnd.Start(0, ring, Bench.StartOf(packed));
            for (int i = 0; i < 3; i++)
            {
                ring.Get(TestContext.Current.CancellationToken);
            }

            frontEnd.Write(ring, 4 * 512, new byte[512]);
            Assert.Equal([512, 1024, 1536, 2048], bench.Writes);
            Assert.False(ring.TryGet(out _, out _));
        }
    }

    [Fact]
    public async Task Second_front_end_waits_until_the_first_disconnects()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var first = bench.Connect(ram);
        first.AskNumber(FrontEndRequest.GetFeatures);
        using var second = bench.Connect(ram);
        second.Send(FrontEndRequest.GetFeatures, HeaderFlags.Version, default);
        first.AskNumber(FrontEndRequest.GetFeatures);
        Assert.Equal((1, 1L), (bench.Server.Connections, bench.Server.Accepted));
        first.Dispose();
        second.AskLate(FrontEndRequest.GetFeatures);
        Assert.Equal(2L, bench.Server.Accepted);
    }

    [Fact]
    public async Task Front_end_is_notified_of_a_configuration_change()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate();
        using var pair = new SocketPair();
        Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetBackEndRequestDescriptor, default, acknowledged: true, pair.Given));
        bench.Server.ConfigChanged();
        byte[] heard = new byte[MessageHeader.Size];
        pair.Kept.ReceiveTimeout = 30_000;
        Assert.Equal(heard.Length, pair.Kept.Receive(heard));
        Assert.Equal("02000000" + "01000000" + "00000000", Convert.ToHexString(heard));
    }

    [Fact]
    public async Task Reset_stops_the_rings_and_keeps_the_memory()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram);
        using (frontEnd)
        using (ring)
        {
            frontEnd.TellNumber(FrontEndRequest.SetStatus, 15);
            Assert.Equal(15UL, frontEnd.AskNumber(FrontEndRequest.GetStatus));
            Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.ResetDevice, default));
            Assert.Equal(0UL, frontEnd.AskNumber(FrontEndRequest.GetStatus));
            frontEnd.Put(ring, 1, 0, new byte[512], 512);
            ring.Kick.Signal();
            frontEnd.TellNumber(FrontEndRequest.SetFeatures, FrontEnd.Version1 | FrontEnd.Protocol);
            Assert.Empty(bench.Writes);
            frontEnd.Start(0, ring, 0);
            ring.Get(TestContext.Current.CancellationToken);
            Assert.Single(bench.Writes);
        }
    }

    private static GuestRing FrontEndRing(GuestRam ram, bool packed)
        => packed ? new PackedGuestRing(ram, GuestAt, 16) : new SplitGuestRing(ram, GuestAt, 16);
}
