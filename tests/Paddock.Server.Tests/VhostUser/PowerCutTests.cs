using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;

namespace Paddock.Server.Tests.VhostUser;

/// <summary>Power cuts while a virtual machine writes: flushed data is present, the rest is lost from the ends of the zones only.</summary>
public class PowerCutTests
{
    private const int Zone = Guest.Zone, Zones = Guest.Zones, Rings = 2, Batch = 6, Longest = 32;
    private const byte Ok = 0, Empty = 1, Closed = 4;

    [Fact]
    public async Task Power_cut_keeps_flushed_data_and_drops_the_rest()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", vhostUser: true);
        byte[] kept = new byte[8192];
        kept.AsSpan().Fill(1);
        using (var guest = server.Connect())
        {
            Assert.Equal(Ok, guest.Run(RequestType.Out, 0, kept));
            Assert.Equal(Ok, guest.Run(RequestType.Flush, 0));
            Assert.Equal(Ok, guest.Run(RequestType.Out, 8192, new byte[4096]));
            Assert.Equal(Ok, guest.Run(RequestType.ZoneOpen, Zone));
            Assert.Equal("ok: power cut and restored", await server.AskAsync("powercut"));
            Assert.True(guest.FrontEnd.IsHungUp());
        }

        using var next = server.Connect();
        Assert.Equal([(Closed, 8192), (Empty, Zone)], next.Report()[..2]);
        Assert.Equal(kept, next.Read(0, kept.Length));
        await server.CheckAsync();
    }

    [Fact]
    public async Task Front_ends_are_rejected_during_a_power_cut_and_held_requests_fail()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", vhostUser: true);
        using var guest = server.Connect();
        await server.AskAsync("hang command=read");
        var hangs = guest.Ask(RequestType.In, 0, length: 512);
        var cut = server.AskAsync("powercut hold=1");
        Assert.NotEqual(Ok, guest.Wait(hangs));
        Assert.ThrowsAny<Exception>(() => server.Connect().Dispose());
        await cut;
        using var next = server.Connect();
        Assert.Equal(Ok, next.Run(RequestType.ZoneAppend, 0, new byte[4096]));
    }

    [Theory]
    [InlineData("1M", 0, false)]
    [InlineData("64k", 0, true)]
    [InlineData("1M", 50, false)]
    public async Task Under_random_writes_a_zone_loses_its_end_only_and_nothing_that_was_flushed(string cache, int keep, bool packed)
    {
        const int seed = 20261;
        await using var server = await TestServer.StartAsync(cache: cache, vhostUser: true);
        var random = new Random(seed);
        var written = Enumerable.Range(0, Zones).Select(_ => Array.Empty<byte>()).ToArray();
        long lost = 0;
        for (int round = 0; round < 12; round++)
        {
            var zones = Enumerable.Range(0, Zones).Select(z => new Written(written[z])).ToArray();
            using (var guest = server.Connect(Rings, packed))
            {
                int own = random.Next(), patience = random.Next(1, 40);
                var writer = Task.Run(() => Write(guest, zones, new Random(own)), TestContext.Current.CancellationToken);
                await Task.Delay(patience, TestContext.Current.CancellationToken);
                await server.AskAsync($"powercut keep={keep} seed={round}");
                await writer;
            }

            using var next = server.Connect(packed: packed);
            written = Verify(next, zones, $"seed {seed}, round {round}");
            lost += zones.Zip(written, (z, left) => Math.Max(0, z.Bytes.Length - left.Length)).Sum();
        }

        Assert.True(lost > 0, "nothing was under way at any cut");
        await server.CheckAsync();
    }

    // each ring has its own zones; a batch is in flight on all rings at once, until the connection is lost
    private static void Write(Guest guest, Written[] zones, Random random)
    {
        while (true)
        {
            ResetFull(guest, zones);
            var asked = new List<Guest.Asked>();
            for (int i = 0; i < Batch; i++)
            {
                int zone = random.Next(Zones);
                asked.Add(Step(guest, zones[zone], zone, random));
            }

            if (asked.Select(guest.Wait).ToArray().Any(s => s != Ok))
            {
                return;
            }

            if (random.Next(4) == 0)
            {
                if (guest.Run(RequestType.Flush, 0) != Ok)
                {
                    return;
                }

                foreach (var zone in zones)
                {
                    (zone.Flushed, zone.Before) = (zone.Bytes.Length, null);
                }
            }
        }
    }

    private static void ResetFull(Guest guest, Written[] zones)
    {
        foreach (var (zone, i) in zones.Select((z, i) => (z, i)).Where(z => z.z.Bytes.Length > Zone - (Batch * Longest * 512)))
        {
            // until flushed, the zone may be in its previous state
            zone.Before ??= zone.Bytes;
            (zone.Flushed, zone.Bytes) = (0, []);
            guest.Run(RequestType.ZoneReset, i * (long)Zone);
        }
    }

    private static Guest.Asked Step(Guest guest, Written zone, int index, Random random)
    {
        int length = random.Next(1, 32) * 512, ring = index % Rings;
        if (zone.Bytes.Length + length > Zone)
        {
            // until flushed, the zone may be in its previous state
            zone.Before ??= zone.Bytes;
            (zone.Flushed, zone.Bytes) = (0, []);
            var reset = guest.Ask(RequestType.ZoneReset, index * (long)Zone, ring: ring);
            guest.Wait(reset);
        }

        byte[] data = new byte[length];
        random.NextBytes(data);
        long at = (index * (long)Zone) + zone.Bytes.Length;
        zone.Bytes = [.. zone.Bytes, .. data];
        return random.Next(2) == 0
            ? guest.Ask(RequestType.ZoneAppend, index * (long)Zone, data, ring: ring) : guest.Ask(RequestType.Out, at, data, ring: ring);
    }

    private static byte[][] Verify(Guest guest, Written[] zones, string when)
    {
        var found = guest.Report();
        byte[][] left = new byte[Zones][];
        for (int z = 0; z < Zones; z++)
        {
            int length = (int)Math.Min(found[z].State == Empty ? 0 : found[z].Pointer - (z * (long)Zone), Zone);
            left[z] = length == 0 ? [] : guest.Read(z * (long)Zone, length);
            bool now = length >= zones[z].Flushed && zones[z].Bytes.AsSpan().StartsWith(left[z]);
            bool before = zones[z].Before is { } old && old.AsSpan().StartsWith(left[z]);
            Assert.True(now || before, $"{when}, zone {z}: {length} bytes; {zones[z].Flushed} flushed, {zones[z].Bytes.Length} written");
        }

        return left;
    }

    /// <summary>Data written to a zone.</summary>
    private sealed class Written(byte[] start)
    {
        public byte[] Bytes { get; set; } = start;

        public int Flushed { get; set; } = start.Length;

        public byte[]? Before { get; set; }
    }
}
