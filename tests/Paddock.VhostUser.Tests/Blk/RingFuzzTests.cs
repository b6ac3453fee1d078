using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Tests.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>
/// Invalid rings by seed: descriptors, tables, indices, headers, ranges and the record of requests in flight, some changed while they are
/// read. PADDOCK_RING_FUZZ sets their number, PADDOCK_RING_SEED the first seed.
/// </summary>
[Collection(nameof(HostileTests))]
public unsafe class RingFuzzTests
{
    private const int ArenaSize = 256 << 10;
    private static readonly uint[] Types = [0, 1, 4, 8, 11, 13, 15, 16, 18, 20, 22, 24, 26, 99];

    [Fact]
    public void Invalid_rings_end_without_a_leak()
    {
        long count = Fuzzing.Number("PADDOCK_RING_FUZZ", 20_000);
        int seed = (int)Fuzzing.Number("PADDOCK_RING_SEED", 1);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {count} rings");
        var devices = Devices();
        var arena = new GuestArena(ArenaSize);
        var tally = new Tally();
        var memory = new MemoryGrowth(count);
        using var stop = new CancellationTokenSource();
        var scribbler = new Thread(() => Scribble(arena, seed, stop.Token)) { IsBackground = true };
        for (long i = 0; i < count; i++)
        {
            memory.Tried(i);
            if (i == count - (count / 8))
            {
                scribbler.Start();
            }

            var random = new Random(HashCode.Combine(seed, (int)i));
            var device = devices[random.Next(devices.Length)];
            arena.Mark = 0;
            OneRing(arena, device, random, tally, $"seed {seed}, ring {i}");
            if (i % 1000 == 999)
            {
                ResetZones(devices);
            }
        }

        stop.Cancel();
        scribbler.Join();
        Assert.All(devices, d => Assert.Equal((0, 0), (d.Budget.Held, d.Buffers.Lent)));
        long growth = memory.Check(32 << 20, seed);
        long done = devices.Sum(d => d.Statistics.Requests - d.Statistics.Errors);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{tally.Taken} requests taken, {done} succeeded, {devices.Sum(d => d.Statistics.Errors)} failed; "
            + $"{tally.Refused} rings refused when opened, {tally.Broken} when run; memory grew by {growth} bytes");
        Assert.True(tally.Taken > count / 2 && done > count / 8 && tally.Broken > count / 8, "the rings are no test");
    }

    private static VirtioBlkDevice[] Devices()
    {
        var zoned = BlkRig.ZonedAsync(
            new ZonedCreateOptions { ZoneSize = 1 << 20, MaxOpenZones = 3, MaxActiveZones = 4, ConventionalZones = 1 }).GetAwaiter()
            .GetResult();
        return [.. new[] { BlkRig.Plain(), zoned, BlkRig.Plain(readOnly: true) }.Select(
            d => new VirtioBlkDevice(d, new VirtioBlkOptions()))];
    }

    private static void ResetZones(VirtioBlkDevice[] devices)
    {
        foreach (var zoned in devices.Select(d => d.Device).Where(d => d.Zones is not null))
        {
            zoned.Zones!.ManageAsync(ZoneAction.Reset, 0, zoned.Length).AsTask().GetAwaiter().GetResult();
        }
    }

    private static void OneRing(GuestArena arena, VirtioBlkDevice device, Random random, Tally tally, string name)
    {
        var features = (RingFeatures)random.Next(8);
        bool packed = (features & RingFeatures.Packed) != 0;
        int size = packed ? random.Next(1, 17) : 1 << random.Next(5);
        arena.At(GuestArena.Guest, 64 << 10).Clear();
        var driver = RingDriver.Create(arena, size, features);
        InflightRegion? region = random.Next(3) == 0 ? arena.Inflight(size, packed, notes: random.Next(2) == 0) : null;
        int shared = arena.Mark;
        var late = new Late();
        try
        {
            var ring = driver.Open(region);
            int left = size;
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                Add(arena, driver, random, ref left);
            }

            if (region is not null && random.Next(2) == 0)
            {
                // a successor opens a damaged record of the requests in flight
                for (int i = random.Next(4); i > 0 && ring.TryTake(out _); i--)
                {
                }

                Mutate(arena, random, (int)((ulong)region.Value.Start - (ulong)arena.Place(GuestArena.Guest)), (int)region.Value.Length);
                Note(device, region.Value, size, random);
                ring = driver.Open(region);
            }

            MutateParts(arena, driver, random, shared);
            Run(new BlkQueue(device, ring, random.Next(2) == 0 ? device.Features : 0, late), ring, tally, name);
        }
        catch (RingException)
        {
            tally.Refused++;
        }
    }

    // a note may match an append or be arbitrary
    private static void Note(VirtioBlkDevice device, InflightRegion region, int size, Random random)
    {
        if (region.Notes == 0)
        {
            return;
        }

        var notes = new AppendNotes(region.Notes, size);
        for (int entry = 0; entry < size; entry++)
        {
            long offset = random.Next(4) == 0 ? random.NextInt64(long.MinValue, long.MaxValue)
                : random.NextInt64(device.Device.Length) & -512;
            notes.Set(entry, (ulong)random.Next(4),
                new AppendNote(offset, random.Next(4) == 0 ? random.Next(int.MinValue, int.MaxValue) : 512 << random.Next(5)));
        }

        if (device.Zones is not null && random.Next(2) == 0)
        {
            notes.Keep(device.Holds);
        }
    }

    private static void Run(BlkQueue queue, Virtqueue ring, Tally tally, string name)
    {
        try
        {
            for (int turns = 0; turns < 8; turns++)
            {
                ring.DisableNotifications();
                int taken = queue.Run(64);
                tally.Taken += taken;
                ring.ShouldNotify();
                if (taken == 0 && !ring.EnableNotifications())
                {
                    break;
                }
            }
        }
        catch (RingException)
        {
            tally.Broken++;
        }

        Assert.True(ring.CloseAsync().Wait(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken), $"{name} is not drained");
        _ = ring.Base;
    }

    private static void Add(GuestArena arena, RingDriver driver, Random random, ref int left)
    {
        byte[] header = new byte[16];
        uint type = Types[random.Next(Types.Length)];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), (ulong)random.Next(2) * 2048 * (ulong)random.Next(8));
        bool writes = type is 0 or 8 or 16;
        var pieces = new List<Piece> { new(arena.Put(header), 16, false) };
        for (int i = random.Next(3); i > 0; i--)
        {
            int length = type is 11 or 13 ? 16 : 512 * random.Next(1, 9);
            ulong at = arena.Allocate(length);
            arena.At(at, length).Clear();
            pieces.Add(new Piece(at, length, writes));
        }

        pieces.Add(new Piece(arena.Allocate(16), type == 15 ? 16 : 1, true));
        bool indirect = random.Next(2) == 0 && (driver.Features & RingFeatures.Indirect) != 0;
        int needed = indirect ? 1 : pieces.Count;
        if (needed <= left)
        {
            left -= needed;
            driver.Add([.. pieces], indirect);
        }
    }

    // most changes affect memory that is read: ring parts, tables in use, headers and ranges
    private static void MutateParts(GuestArena arena, RingDriver driver, Random random, int shared)
    {
        int tables = (int)(driver.TablesEnd - GuestArena.Guest);
        switch (random.Next(5))
        {
            case 0 or 1:
                Mutate(arena, random, tables, Math.Min(shared - tables, 160));
                break;
            case 2:
                Mutate(arena, random, tables, shared - tables);
                break;
            case 3 when driver.Size > 1:
                Mutate(arena, random, random.Next(2) * RingDriver.TableSize, 80);
                break;
            default:
                Mutate(arena, random, shared, arena.Mark - shared);
                break;
        }
    }

    private static void Mutate(GuestArena arena, Random random, int start, int length)
    {
        for (int i = random.Next(6); i > 0 && length > 16; i--)
        {
            byte* at = arena.Place(GuestArena.Guest) + start + random.Next(length - 8);
            switch (random.Next(6))
            {
                case 0:
                    *at ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    *at = (byte)random.Next(256);
                    break;
                case 2:
                    *(ushort*)((nuint)at & ~(nuint)1) = (ushort)random.Next(65536);
                    break;
                case 3:
                    *(uint*)((nuint)at & ~(nuint)3) = random.Next(2) == 0 ? uint.MaxValue : 0;
                    break;
                case 4:
                    *(ulong*)((nuint)at & ~(nuint)7) = GuestArena.Guest + (ulong)random.Next(ArenaSize);
                    break;
                default:
                    new Span<byte>(arena.Place(GuestArena.Guest) + random.Next(length), 16)
                        .CopyTo(new Span<byte>((byte*)((nuint)at & ~(nuint)15), 16));
                    break;
            }
        }
    }

    // another guest processor that changes memory while it is read
    private static void Scribble(GuestArena arena, int seed, CancellationToken stop)
    {
        var random = new Random(seed);
        while (!stop.IsCancellationRequested)
        {
            byte* at = arena.Place(GuestArena.Guest) + random.Next(64 << 10);
            byte old = *at;
            *at = (byte)random.Next(256);
            Thread.Yield();
            *at = old;
        }
    }

    private sealed class Tally
    {
        public long Taken { get; set; }

        public long Refused { get; set; }

        public long Broken { get; set; }
    }

    private sealed class Late : ILateCompletion
    {
        public void Completed(Virtqueue ring) => ring.ShouldNotify();
    }
}
