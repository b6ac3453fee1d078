using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Server.Tests.Nvme;

/// <summary>
/// Power cuts of a running server while hosts write: flushed data is present, the rest is lost from the ends of the zones only.
/// </summary>
public class PowerCutTests
{
    private const int Zone = TestServer.Zone, Zones = TestServer.Zones;

    [Fact]
    public async Task Power_cut_keeps_flushed_data_and_drops_the_rest()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using (var disk = await server.NvmeAsync())
        {
            await disk.WriteAsync(0, Filled(8192, 1));
            await disk.FlushAsync();
            await disk.WriteAsync(8192, Filled(4096, 2));
            await disk.Zones!.ManageAsync(ZoneAction.Open, Zone, Zone);
            Assert.Equal("ok: power cut and restored", await server.AskAsync("powercut"));
            await Assert.ThrowsAnyAsync<BlockException>(async () => await disk.ReadAsync(0, new byte[512]));
        }

        await using var again = await server.NvmeAsync();
        var zones = new ZoneDescriptor[2];
        await again.Zones!.ReportAsync(0, zones);
        Assert.Equal((8192, ZoneCondition.Closed, ZoneCondition.Empty), (zones[0].WritePointer, zones[0].Condition, zones[1].Condition));
        var back = new byte[8192];
        await again.ReadAsync(0, back);
        Assert.Equal(Filled(8192, 1), back);
        await server.CheckAsync();
    }

    [Fact]
    public async Task Power_cut_closes_connections_and_rejects_new_ones()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var nbd = await server.NbdAsync();
        await server.AskAsync("hang command=read");
        await using var nvme = await server.NvmeAsync();
        var hangs = nvme.ReadAsync(0, new byte[512]).AsTask();
        var cut = server.AskAsync("powercut hold=1");
        await Assert.ThrowsAnyAsync<BlockException>(() => hangs);
        Assert.Contains("another power cut", await server.RefusalAsync("powercut"), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(async () => await server.NvmeAsync());
        await cut;
        await using var again = await server.NvmeAsync();
        await again.Zones!.AppendAsync(0, new byte[4096]);
    }

    [Theory]
    [InlineData("1M", 0)]
    [InlineData("64k", 0)]
    [InlineData("1M", 50)]
    public async Task Under_random_writers_a_zone_loses_its_end_only_and_nothing_that_was_flushed(string cache, int keep)
    {
        const int Seed = 20231;
        await using var server = await TestServer.StartAsync(cache: cache);
        var random = new Random(Seed);
        var written = Enumerable.Range(0, Zones).Select(_ => Array.Empty<byte>()).ToArray();
        for (int round = 0; round < 25; round++)
        {
            var zones = Enumerable.Range(0, Zones).Select(z => new Written(written[z])).ToArray();
            int patience = random.Next(1, 40);
            var writers = Enumerable.Range(0, 2).Select(w => WriteAsync(server, zones, w, random.Next())).ToArray();
            await Task.Delay(patience, TestContext.Current.CancellationToken);
            await server.AskAsync($"powercut keep={keep} seed={round}");
            await Task.WhenAll(writers);
            written = await VerifyAsync(server, zones, $"seed {Seed}, round {round}");
        }

        await server.CheckAsync();
    }

    // each writer has its own zones; it writes, flushes and resets until its connection is lost
    private static async Task WriteAsync(TestServer server, Written[] zones, int writer, int seed)
    {
        var random = new Random(seed);
        try
        {
            await using var disk = await server.NvmeAsync();
            while (true)
            {
                int zone = (random.Next(Zones / 2) * 2) + writer;
                await StepAsync(disk, zones[zone], zone, random);
                if (random.Next(8) == 0)
                {
                    int[] lengths = [.. zones.Where((_, z) => z % 2 == writer).Select(z => z.Bytes.Length)];
                    await disk.FlushAsync();
                    foreach (var (z, length) in zones.Where((_, z) => z % 2 == writer).Zip(lengths))
                    {
                        z.Flushed = length;
                        z.Before = null;
                    }
                }
            }
        }
        catch (BlockException)
        {
            // the power is cut
        }
    }

    private static async Task StepAsync(IBlockDevice disk, Written zone, int index, Random random)
    {
        int length = random.Next(1, 32) * 512;
        if (zone.Bytes.Length + length > Zone || random.Next(40) == 0)
        {
            // until flushed, the zone may be in its previous state
            zone.Before ??= zone.Bytes;
            zone.Flushed = 0;
            zone.Bytes = [];
            await disk.Zones!.ManageAsync(ZoneAction.Reset, index * (long)Zone, Zone);
            return;
        }

        var data = new byte[length];
        random.NextBytes(data);
        long at = (index * (long)Zone) + zone.Bytes.Length;
        zone.Bytes = [.. zone.Bytes, .. data];
        await disk.WriteAsync(at, data);
    }

    private static async Task<byte[][]> VerifyAsync(TestServer server, Written[] zones, string when)
    {
        await using var disk = await server.NvmeAsync();
        var found = new ZoneDescriptor[Zones];
        Assert.Equal(Zones, await disk.Zones!.ReportAsync(0, found));
        var left = new byte[Zones][];
        for (int z = 0; z < Zones; z++)
        {
            int length = (int)Math.Min(found[z].WritePointer - found[z].Start, Zone);
            left[z] = new byte[length];
            if (length > 0)
            {
                await disk.ReadAsync(found[z].Start, left[z]);
            }

            bool now = length >= zones[z].Flushed && zones[z].Bytes.AsSpan().StartsWith(left[z]);
            bool before = zones[z].Before is { } old && old.AsSpan().StartsWith(left[z]);
            Assert.True(now || before, $"{when}, zone {z}: {length} bytes; {zones[z].Flushed} flushed, {zones[z].Bytes.Length} written");
        }

        return left;
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    /// <summary>Data written to a zone.</summary>
    private sealed class Written(byte[] start)
    {
        public byte[] Bytes { get; set; } = start;

        public int Flushed { get; set; } = start.Length;

        public byte[]? Before { get; set; }
    }
}
