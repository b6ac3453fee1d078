using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>Runs alone, because the tests count the descriptors of the whole process.</summary>
[CollectionDefinition(nameof(HostileTests), DisableParallelization = true)]
public class Alone;

/// <summary>Invalid messages end only their own connection and leak no descriptor.</summary>
[Collection(nameof(HostileTests))]
public class HostileTests
{
    private const ulong GuestAt = 0x10_0000;
    private const int RamBytes = 1 << 20;

    public static TheoryData<string, string> Broken => new()
    {
        { "a request of version 2", "01000000" + "02000000" + "00000000" },
        { "a reply", "01000000" + "05000000" + "00000000" },
        { "a long payload", "02000000" + "01000000" + "00000100" },
        { "an endless payload", "02000000" + "01000000" + "FFFFFFFF" },
        { "no request", "00000000" + "01000000" + "00000000" },
        { "an unknown request", "63000000" + "01000000" + "00000000" },
        { "logging, which is not offered", "06000000" + "01000000" + "00000000" },
        { "features that were not offered", "02000000" + "01000000" + "08000000" + "FFFFFFFFFFFFFFFF" },
        { "protocol features that were not offered", "10000000" + "01000000" + "08000000" + "FFFFFFFFFFFFFFFF" },
        { "a short number", "02000000" + "01000000" + "04000000" + "00000000" },
        { "a payload where none belongs", "01000000" + "01000000" + "04000000" + "00000000" },
        { "a ring beyond the last", "08000000" + "01000000" + "08000000" + "01000000" + "40000000" },
        { "a ring far beyond the last", "12000000" + "01000000" + "08000000" + "FFFFFFFF" + "01000000" },
        { "a ring of no descriptors", "08000000" + "01000000" + "08000000" + "00000000" + "00000000" },
        { "a huge ring", "08000000" + "01000000" + "08000000" + "00000000" + "00000001" },
        { "neither on nor off", "12000000" + "01000000" + "08000000" + "00000000" + "02000000" },
        { "a kick without its descriptor", "0C000000" + "01000000" + "08000000" + "0000000000000000" },
        { "a region without its descriptor", "25000000" + "01000000" + "28000000" + "0000000000000000" + "0000000000000000"
            + "0010000000000000" + "0000000000000000" + "0000000000000000" },
        { "nine regions", "05000000" + "01000000" + "08000000" + "09000000" + "00000000" },
        { "configuration space beyond its end", "18000000" + "01000000" + "0C000000" + "00010000" + "01000000" + "00000000" },
        { "a status of nine bits", "27000000" + "01000000" + "08000000" + "0001000000000000" },
        { "no rings in flight", "1F000000" + "01000000" + "14000000" + "0000000000000000" + "0000000000000000" + "00000000" },
        { "half a header", "01000000" },
        { "half a payload", "02000000" + "01000000" + "08000000" + "FFFF" },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task Invalid_message_ends_only_its_connection(string what, string hex)
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using (var frontEnd = bench.Connect(ram))
        {
            frontEnd.AskNumber(FrontEndRequest.GetFeatures);
            frontEnd.SendRaw(Convert.FromHexString(hex));
            frontEnd.EndSending();
            Assert.True(frontEnd.IsHungUp(), what);
        }

        Serves(bench);
        Assert.Equal(1, bench.Server.Refused);
        Assert.Contains("was sent away", bench.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Descriptors_of_the_wrong_kind_or_number_are_rejected_and_closed()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var pair = new SocketPair();
        using var small = SharedMemory.Create("small", 4096);
        using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var readOnly = File.OpenHandle(typeof(HostileTests).Assembly.Location);
        byte[] region = new byte[SingleRegion.Size], kick = new byte[U64Payload.Size];
        SingleRegion.Write(region, ram.Description);
        byte[] table = new byte[MemoryTable.SizeOf(1)];
        MemoryTable.Write(table, [ram.Description]);
        Serves(bench);
        int before = OpenDescriptors.Count;
        (FrontEndRequest, byte[], SafeFileHandle[])[] attempts =
        [
            (FrontEndRequest.AddMemoryRegion, region, [small]),
            (FrontEndRequest.AddMemoryRegion, region, [nothing]),
            (FrontEndRequest.AddMemoryRegion, region, [pair.Given]),
            (FrontEndRequest.AddMemoryRegion, region, [readOnly]),
            (FrontEndRequest.AddMemoryRegion, region, [ram.File, ram.File]),
            (FrontEndRequest.SetMemoryTable, table, []),
            (FrontEndRequest.SetMemoryTable, table, [ram.File, ram.File]),
            (FrontEndRequest.SetMemoryTable, table, [small]),
            (FrontEndRequest.SetVringKick, kick, [ram.File]),
            (FrontEndRequest.SetVringCall, kick, [pair.Given]),
            (FrontEndRequest.SetVringError, kick, [nothing]),
            (FrontEndRequest.GetFeatures, [], [ram.File]),
            (FrontEndRequest.GetFeatures, [], [.. Enumerable.Repeat(ram.File, 9)]),
            (FrontEndRequest.GetFeatures, [], [.. Enumerable.Repeat(ram.File, 200)]),
        ];
        foreach (var (request, payload, descriptors) in attempts)
        {
            using var frontEnd = bench.Connect(ram);
            frontEnd.Send(request, HeaderFlags.Version, payload, descriptors);
            Assert.True(frontEnd.IsHungUp(), $"{request} with {descriptors.Length} descriptors");
        }

        Serves(bench);
        Assert.Equal(attempts.Length, bench.Server.Refused);
        OpenDescriptors.AssertNoMoreThan(before);
    }

    [Fact]
    public async Task Rejected_request_with_need_reply_keeps_the_connection()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var small = SharedMemory.Create("small", 4096);
        byte[] region = new byte[SingleRegion.Size];
        SingleRegion.Write(region, ram.Description);
        using var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate();
        Assert.Equal(1UL, frontEnd.Tell(FrontEndRequest.AddMemoryRegion, region, acknowledged: true, small));
        Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.AddMemoryRegion, region, acknowledged: true, ram.File));

        // overlaps the first
        Assert.Equal(1UL, frontEnd.Tell(FrontEndRequest.AddMemoryRegion, region, acknowledged: true, ram.File));
        Assert.Equal(0, bench.Server.Refused);
    }

    [Theory]
    [InlineData(0x7f12_0000_0000UL, 16u)]
    [InlineData(ulong.MaxValue, 16u)]
    [InlineData(0x7f12_0019_0000UL, 32768u)]
    [InlineData(0x7f12_0010_0000UL, 3u)]
    [InlineData(0x7f12_0010_0001UL, 16u)]
    public async Task Ring_outside_of_memory_is_stopped_and_reported(ulong descriptors, uint size)
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = bench.Connect(ram);
        using var ring = frontEnd.Ring(0, 16, packed: false);
        frontEnd.Negotiate();
        frontEnd.ShareMemory();
        frontEnd.TellState(FrontEndRequest.SetVringNum, 0, size);
        byte[] address = new byte[VringAddress.Size];
        new VringAddress(0, 0, descriptors, ram.User(ring.Device), ram.User(ring.Driver), 0).WriteTo(address);
        frontEnd.Tell(FrontEndRequest.SetVringAddress, address);
        frontEnd.TellEvent(FrontEndRequest.SetVringError, 0, ring.Error.Handle);
        frontEnd.TellState(FrontEndRequest.SetVringEnable, 0, 1);
        frontEnd.TellEvent(FrontEndRequest.SetVringKick, 0, ring.Kick.Handle);
        Assert.Equal(1UL, ring.Error.Take());
        Assert.Contains("does not start", bench.Log, StringComparison.Ordinal);
        Assert.Equal(0u, frontEnd.AskBase(0));
        frontEnd.Start(0, ring, 0);
        frontEnd.Write(ring, 0, new byte[512]);
    }

    [Fact]
    public async Task Rings_do_not_run_before_memory_and_features_are_set()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = bench.Connect(ram);
        using var ring = frontEnd.Ring(0, 16, packed: false);
        byte[] features = new byte[U64Payload.Size];
        U64Payload.Write(features, (ulong)ProtocolFeatures.ReplyAck);
        frontEnd.Tell(FrontEndRequest.SetProtocolFeatures, features, acknowledged: false);
        frontEnd.Start(0, ring, 0);
        frontEnd.Put(ring, 1, 0, new byte[512], 512);
        ring.Kick.Signal();
        frontEnd.ShareMemory();
        Assert.Empty(bench.Writes);
        frontEnd.TellNumber(FrontEndRequest.SetFeatures, FrontEnd.Version1 | FrontEnd.Protocol);
        ring.Get(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Broken_ring_is_stopped_and_can_be_set_up_again()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        var (frontEnd, ring) = bench.Start(ram);
        using (frontEnd)
        {
            ring.Put(new GuestPiece(0xdead_beef_0000, 16, false), new GuestPiece(GuestAt, 1, true));
            ring.Kick.Signal();
            Assert.True(SpinWait.SpinUntil(() => ring.Error.Take() > 0, TimeSpan.FromSeconds(30)));
            frontEnd.AskBase(0);
            ring.Dispose();
            ram.Span(GuestAt, GuestRing.Bytes).Clear();
            using var again = frontEnd.Ring(0, 16, packed: false);
            frontEnd.Start(0, again, 0);
            frontEnd.Write(again, 0, new byte[512]);
        }
    }

    [Fact]
    public async Task Abrupt_disconnect_leaks_nothing()
    {
        await using var bench = new Bench(queues: 2);
        using var ram = new GuestRam(GuestAt, RamBytes * 4);
        Serves(bench);
        int before = OpenDescriptors.Count;
        for (int i = 0; i < 30; i++)
        {
            var (frontEnd, ring) = bench.Start(ram, packed: i % 2 == 1);
            frontEnd.Put(ring, 1, 0, new byte[512], 512);
            ring.Kick.Signal();
            frontEnd.Dispose();
            ring.Dispose();
            ram.Span(GuestAt, GuestRing.Bytes).Clear();
            Assert.True(SpinWait.SpinUntil(() => bench.Server.Connections == 0, TimeSpan.FromSeconds(30)));
        }

        OpenDescriptors.AssertNoMoreThan(before);
    }

    // the next front end is served normally
    private static void Serves(Bench bench)
    {
        using (var ram = new GuestRam(GuestAt, 4 << 20))
        {
            var (frontEnd, ring) = bench.Start(ram);
            frontEnd.Write(ring, 0, new byte[512]);
            frontEnd.Dispose();
            ring.Dispose();
        }

        Assert.True(SpinWait.SpinUntil(() => bench.Server.Connections == 0, TimeSpan.FromSeconds(30)));
    }
}
