using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>A write to a sequential zone without a random write area is whole or absent: after a power cut, and for readers.</summary>
public class AtomicZoneWriteTests
{
    private const int Zone = 4 << 20, Sector = 512;

    [Fact]
    public async Task Power_cut_keeps_whole_writes_only()
    {
        for (int seed = 1; seed <= 60; seed++)
        {
            var random = new Random(seed);
            var crash = new CrashStorage();
            await CreateAsync(crash);
            await crash.FlushAsync();
            int from = crash.Log.Count;
            var image = await Qcow2Image.OpenAsync(crash, new Qcow2OpenOptions());
            var ends = new List<long> { 0 };
            for (long at = 0; ends.Count < 12;)
            {
                int length = Sector * random.Next(1, 600);
                await image.WriteAsync(at, Filled(length, ends.Count));
                ends.Add(at += length);
                if (random.Next(3) == 0)
                {
                    await image.FlushAsync();
                }
            }

            var cut = new PowerCut(crash.Log).At(random.Next(from, crash.Log.Count + 1), seed);
            await using var after = await Qcow2Image.OpenAsync(cut, new Qcow2OpenOptions());
            var zone = new ZoneDescriptor[1];
            await after.Zones!.ReportAsync(0, zone);
            int kept = ends.IndexOf(zone[0].WritePointer);
            Assert.True(kept >= 0, $"seed {seed}: the write pointer {zone[0].WritePointer} is inside a write");
            byte[] data = new byte[Zone];
            await after.ReadAsync(0, data);
            for (int i = 1; i < ends.Count; i++)
            {
                var part = data.AsSpan((int)ends[i - 1], (int)(ends[i] - ends[i - 1]));
                byte expected = (byte)(i <= kept ? i : 0);
                Assert.True(part.IndexOfAnyExcept(expected) < 0, $"seed {seed}: write {i} of {kept} is torn");
            }
        }
    }

    [Fact]
    public async Task Reader_sees_all_of_a_write_or_nothing()
    {
        var storage = new MemoryStorage("disk");
        await CreateAsync(storage);
        await using var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        const int length = 300 << 10;
        for (int i = 0; i < 12; i++)
        {
            long at = (long)i * length;
            byte[] data = Filled(length, i + 1), seen = new byte[length];
            var write = Task.Run(() => image.WriteAsync(at, data).AsTask(), TestContext.Current.CancellationToken);
            bool ended;
            do
            {
                ended = write.IsCompleted;
                await image.ReadAsync(at, seen);
                Assert.True(seen.AsSpan().IndexOfAnyExcept(seen[0]) < 0, $"write {i} is seen in part");
            }
            while (!ended);

            await write;
            Assert.Equal(i + 1, seen[0]);
        }
    }

    private static byte[] Filled(int length, int value)
    {
        byte[] data = new byte[length];
        data.AsSpan().Fill((byte)value);
        return data;
    }

    private static ValueTask CreateAsync(IStorage storage) => Qcow2Image.CreateAsync(
        storage, new Qcow2CreateOptions { Size = 2 * Zone, Zoned = new ZonedCreateOptions { ZoneSize = Zone } });
}
