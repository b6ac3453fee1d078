using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Paddock.Qcow2;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Wire;

namespace Paddock.Cli.Tests.Serve;

/// <summary>Kills the executable under a guest that appends, and restarts it: requests in flight are performed once.</summary>
public sealed class KilledServerTests : IDisposable
{
    private const int Zone = 32 << 20, Zones = 4, Block = 4096, Rings = 2, RingSize = 64, Kills = 4, Batch = 6;
    private const long Memory = 16 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("vhost-killed-").FullName;

    // every append has a number, stored at the start of its block
    private readonly List<Append> _all = [];
    private readonly List<Append> _open = [];
    private int _replayed;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(false, 20263)]
    [InlineData(true, 20264)]
    public async Task Nothing_is_there_twice_and_nothing_that_was_flushed_or_in_flight_is_lost(bool packed, int seed)
    {
        await ImageFile.CreateAsync(Path.Combine(_folder, "z.qcow2"), Zones * (long)Zone, new ZonedCreateOptions { ZoneSize = Zone });
        var random = new Random(seed);
        using var ram = new GuestRam(Guest.MemoryAt, Memory);
        byte[] description = new byte[InflightDescription.PaddedSize];
        SafeFileHandle? record = null;
        GuestRing[]? rings = null;
        for (int kill = 0; kill <= Kills; kill++)
        {
            File.Delete(At("s"));
            await using var server = await ServerProcess.ServeAsync(At("z.qcow2"), "--vhost-user", At("s"), "--vhost-user-queues", "2");
            using var frontEnd = FrontEnd.Connect(At("s"), ram);
            frontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
            frontEnd.ShareMemory();
            record = TakeRecord(frontEnd, description, record);
            rings ??= [.. Enumerable.Range(0, Rings).Select(i => frontEnd.Ring(i, RingSize, packed))];
            for (int i = 0; i < Rings; i++)
            {
                frontEnd.Start(i, rings[i], Bench.StartOf(packed));
            }

            string when = $"seed {seed}, start {kill}";
            Assert.True(SpinWait.SpinUntil(() => Reap(ram, rings) == 0, TimeSpan.FromSeconds(30)),
                $"{when}: {Reap(ram, rings)} are not answered");
            Verify(frontEnd, rings[0], when);
            if (kill < Kills)
            {
                int patience = random.Next(20, 300), own = random.Next();
                var guest = Task.Run(() => Work(frontEnd, ram, rings, new Random(own)), TestContext.Current.CancellationToken);
                await Task.Delay(patience, TestContext.Current.CancellationToken);
                await server.KillAsync();
                await guest;
                Reap(ram, rings);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{_all.Count} appends, {_replayed} of them in flight when the server was killed");
        record?.Dispose();
        Array.ForEach(rings!, r => r.Dispose());
    }

    // appends on all rings, with an occasional flush, until the server disconnects
    private void Work(FrontEnd frontEnd, GuestRam ram, GuestRing[] rings, Random random)
    {
        byte[] data = new byte[Block];
        while (true)
        {
            for (int i = 0; i < Batch; i++)
            {
                int zone = random.Next(Zones), ring = random.Next(Rings);
                BinaryPrimitives.WriteInt32LittleEndian(data, _all.Count + 1);
                var (id, _, status) = frontEnd.Put(rings[ring], (uint)RequestType.ZoneAppend, zone * (long)Zone, data, Block);
                _all.Add(new Append(ring, id, status));
                _open.Add(_all[^1]);
            }

            Array.ForEach(rings, r => r.Kick.Signal());
            if (random.Next(8) == 0)
            {
                // appends completed so far; the flush is submitted beside those in flight
                var done = _all.Where(a => a.IsAnswered && !a.IsFlushed && !a.IsGone).ToArray();
                var (id, _, status) = frontEnd.Put(rings[0], (uint)RequestType.Flush, 0, default, 0);
                _all.Add(new Append(0, id, status) { IsFlush = true });
                _open.Add(_all[^1]);
                rings[0].Kick.Signal();
                if (!Await(frontEnd, ram, rings))
                {
                    return;
                }

                Array.ForEach(done, a => a.IsFlushed = true);
            }
            else if (!Await(frontEnd, ram, rings))
            {
                return;
            }
        }
    }

    private bool Await(FrontEnd frontEnd, GuestRam ram, GuestRing[] rings)
    {
        bool gone = false;
        Assert.True(SpinWait.SpinUntil(() => Reap(ram, rings) == 0 || (gone = frontEnd.HasHungUp), TimeSpan.FromSeconds(30)),
            "no answer came");
        if (gone)
        {
            _open.ForEach(a => a.Replayed = true);
        }

        return !gone;
    }

    // takes completions and returns the number still outstanding
    private int Reap(GuestRam ram, GuestRing[] rings)
    {
        for (int i = 0; i < Rings; i++)
        {
            while (rings[i].TryGet(out int id, out _))
            {
                var answered = _open.Single(a => a.Ring == i && a.Id == id);
                _open.Remove(answered);
                answered.IsAnswered = true;
                Assert.Equal(0, ram.Span(answered.Status, 1)[0]);
                answered.Place = BinaryPrimitives.ReadInt64LittleEndian(ram.Span(answered.Status - sizeof(long), sizeof(long))) * 512;
            }
        }

        return _open.Count;
    }

    private void Verify(FrontEnd frontEnd, GuestRing ring, string when)
    {
        const int piece = 64 << 10;
        var found = new Dictionary<int, long>();
        for (long at = 0; at < Zones * (long)Zone; at += piece)
        {
            byte[] back = frontEnd.Read(ring, at, piece);
            for (int i = 0; i < piece; i += Block)
            {
                int number = BinaryPrimitives.ReadInt32LittleEndian(back.AsSpan(i));
                if (number == 0)
                {
                    at = ((at / Zone) + 1) * Zone - piece;
                    break;
                }

                Assert.True(found.TryAdd(number, at + i), $"{when}: append {number} is there twice");
            }
        }

        for (int i = 0; i < _all.Count; i++)
        {
            var append = _all[i];
            bool isThere = found.TryGetValue(i + 1, out long place);
            Assert.True(isThere || append.IsFlush || !(append.IsFlushed || append.Replayed), $"{when}: append {i + 1} is lost");
            Assert.True(!isThere
                || (place == append.Place && !append.IsGone), $"{when}: append {i + 1} is at {place}, not at {append.Place}, or again");
            append.IsGone = !isThere;

            // a replayed append is not flushed yet: the next kill may lose it
            _replayed += append.Replayed && !append.IsFlush ? 1 : 0;
            append.Replayed = false;
        }
    }

    private static SafeFileHandle TakeRecord(FrontEnd frontEnd, byte[] description, SafeFileHandle? record)
    {
        if (record is null)
        {
            new InflightDescription(0, 0, Rings, RingSize).WriteTo(description);
            var reply = frontEnd.Ask(FrontEndRequest.GetInflightDescriptor, description);
            reply.Payload.CopyTo(description);
            record = reply.TakeDescriptor(0);
        }

        Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, record));
        return record;
    }

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>Append, or a flush between appends.</summary>
    private sealed class Append(int ring, int id, ulong status)
    {
        public int Ring => ring;

        public int Id => id;

        public ulong Status => status;

        public bool IsFlush { get; init; }

        public bool IsAnswered { get; set; }

        /// <summary>Whether a flush submitted after its completion has completed.</summary>
        public bool IsFlushed { get; set; }

        /// <summary>Completed but not flushed, and lost in the kill.</summary>
        public bool IsGone { get; set; }

        /// <summary>In flight when the server was killed.</summary>
        public bool Replayed { get; set; }

        public long Place { get; set; }
    }
}
