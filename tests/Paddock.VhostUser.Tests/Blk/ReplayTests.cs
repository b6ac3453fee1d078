using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Appends in flight when their process was killed: each takes effect once, however far it had come.</summary>
public class ReplayTests
{
    private const int Zone = 1 << 20, RingSize = 64;
    private const byte Ok = 0;

    [Theory]
    [InlineData(false, (int)Death.BeforeItBegan, false, 4096)]
    [InlineData(false, (int)Death.BeforeItLanded, false, 4096)]
    [InlineData(false, (int)Death.BeforeItWasAnswered, false, 4096)]
    [InlineData(false, (int)Death.BeforeItWasAnswered, true, 8192)]
    [InlineData(true, (int)Death.BeforeItBegan, false, 4096)]
    [InlineData(true, (int)Death.BeforeItLanded, false, 4096)]
    [InlineData(true, (int)Death.BeforeItWasAnswered, false, 4096)]
    [InlineData(true, (int)Death.BeforeItWasAnswered, true, 8192)]
    public async Task Append_takes_effect_once_and_reports_its_sector_after_a_crash(
        bool packed, int death, bool flushed, int pointerThen)
    {
        await using var crash = await Crash.BeginAsync(packed, flushes: flushed ? 2 : 1);
        await crash.SubmitAsync([(0, Death.None)]);
        await crash.SubmitAsync([(0, (Death)death)]);
        Assert.Equal(pointerThen, await crash.RebootAsync(0));
        await crash.VerifyAsync("");
        Assert.Equal(8192, await crash.PointerAsync(0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Appends_of_equal_data_to_several_zones_take_effect_once(bool packed)
    {
        for (int seed = 1; seed <= 60; seed++)
        {
            var random = new Random(seed);
            await using var crash = await Crash.BeginAsync(packed, flushes: random.Next(12), random.Next(3) == 0);
            int[] live = [random.Next(5), random.Next(5)];
            await crash.SubmitAsync([.. Enumerable.Range(0, random.Next(6)).Select(_ => (random.Next(2), Death.None))]);
            var doomed = new List<(int Zone, Death Death)>();
            for (int i = 0; i < random.Next(1, 16); i++)
            {
                int zone = random.Next(2);
                doomed.Add((zone,
                    live[zone]-- switch { > 0 => Death.BeforeItWasAnswered, 0 => Death.BeforeItLanded, _ => Death.BeforeItBegan }));
            }

            await crash.SubmitAsync(doomed);
            await crash.RebootAsync(0);
            await crash.VerifyAsync($"seed {seed}");
        }
    }

    [Fact]
    public async Task Record_without_notes_replays_every_append()
    {
        await using var crash = await Crash.BeginAsync(packed: false, flushes: 0, hasNotes: false);
        await crash.SubmitAsync([(0, Death.BeforeItLanded), (0, Death.BeforeItBegan), (1, Death.BeforeItWasAnswered)]);
        await crash.RebootAsync(0);
        await crash.VerifyAsync("");
    }

    [Fact]
    public async Task Invalid_notes_are_ignored()
    {
        foreach (var note in new AppendNote[] { new(-4096, 4096), new(long.MaxValue, 4096), new(Zone, 4096), new(0, int.MaxValue),
            new(0, -1), new(0, 512) })
        {
            await using var crash = await Crash.BeginAsync(packed: false, flushes: 9);
            await crash.SubmitAsync([(0, Death.BeforeItWasAnswered)]);
            crash.Overwrite(note);
            await crash.RebootAsync(0);
            Assert.Equal(8192, (await crash.PointerAsync(0)));
        }
    }

    [Fact]
    public async Task Partly_done_long_write_is_completed_by_the_replay()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = 32 << 20 }, 96 << 20);
        var options = new VirtioBlkOptions { Buffers = new Paddock.Serving.SlabPool(16 << 20) };
        var rig = new BlkRig(disk, options: options, memory: 32 << 20);
        var region = rig.Arena.Inflight(RingSize, false);
        rig.Open(rig.Device.Features, region);
        byte[] data = new byte[5 << 20];
        new Random(12).NextBytes(data);
        var ticket = rig.Submit((uint)RequestType.Out, 0, data, 1, [16, 100_000]);
        Assert.True(rig.Ring.TryTake(out _));
        await disk.WriteAsync(0, data.AsMemory(0, 3 << 20), cancellationToken: TestContext.Current.CancellationToken);
        rig.Reboot(disk, region);
        Assert.Equal(Ok, rig.Wait(ticket).Status);
        byte[] back = new byte[data.Length];
        await disk.ReadAsync(0, back, TestContext.Current.CancellationToken);
        Assert.True(back.AsSpan().SequenceEqual(data));
    }

    /// <summary>A guest that appends blocks of 4 KiB, most of them alike, and a process that is killed.</summary>
    private sealed class Crash : IAsyncDisposable
    {
        private const int Block = 4096;

        private readonly MemoryStorage _storage;
        private readonly BlkRig _rig;
        private readonly InflightRegion _region;
        private readonly DyingProcess _dying;
        private readonly bool _differ;
        private readonly List<(BlkRig.Ticket Ticket, int Zone, byte[] Data, bool Answered)> _all = [];
        private readonly Dictionary<int, BlkRig.Answer> _answers = [];
        private long[] _found = [];
        private int _stored;
        private IBlockDevice _disk;

        private Crash(MemoryStorage storage, IBlockDevice disk, bool packed, int flushes, bool differ, bool hasNotes)
        {
            (_storage, _disk, _differ) = (storage, disk, differ);
            _dying = new DyingProcess(disk, () => ++_stored <= flushes ? disk.FlushAsync().AsTask() : Task.CompletedTask);
            _rig = new BlkRig(_dying.Device, RingFeatures.Indirect | (packed ? RingFeatures.Packed : 0), memory: 4 << 20);
            _region = _rig.Arena.Inflight(RingSize, packed, hasNotes);
            _rig.Open(_rig.Device.Features, _region);
        }

        /// <param name="packed">The ring's layout.</param>
        /// <param name="flushes">Number of stored appends, from the first, that are flushed immediately.</param>
        /// <param name="differ">Whether the blocks differ.</param>
        /// <param name="hasNotes">Whether the record has notes on appends.</param>
        public static async Task<Crash> BeginAsync(bool packed, int flushes, bool differ = false, bool hasNotes = true)
        {
            var storage = new MemoryStorage("disk");
            return new Crash(storage, await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone }, 2 * Zone, storage), packed,
                flushes, differ, hasNotes);
        }

        /// <summary>Submits appends; waits until each has completed or is stuck.</summary>
        public async Task SubmitAsync(IReadOnlyList<(int Zone, Death Death)> appends)
        {
            var deaths = appends.GroupBy(a => a.Zone).ToDictionary(g => g.Key * (long)Zone, g => new Queue<Death>(g.Select(a => a.Death)));
            _dying.Next = zone =>
            {
                lock (deaths)
                {
                    return deaths[zone].Dequeue();
                }
            };
            foreach (var (zone, death) in appends)
            {
                byte[] data = new byte[Block];
                data.AsSpan().Fill(_differ ? (byte)(_all.Count + 1) : (byte)7);
                var ticket = _rig.Submit((uint)RequestType.ZoneAppend, (ulong)zone * Zone / 512, data, 9);
                if (death == Death.None)
                {
                    var answer = _rig.Wait(ticket);
                    Assert.Equal(Ok, answer.Status);
                }

                _all.Add((ticket, zone, data, death == Death.None));
            }

            int doomed = appends.Count(a => a.Death != Death.None);
            _rig.Queue.Run(int.MaxValue);
            while (_dying.Stuck < doomed)
            {
                await Task.Delay(1, TestContext.Current.CancellationToken);
            }
        }

        public ValueTask DisposeAsync() => _disk.DisposeAsync();

        /// <summary>Overwrites the note of the first append.</summary>
        public void Overwrite(AppendNote note) => new AppendNotes(_region.Notes, RingSize).Set(_all[0].Ticket.Id, 0, note);

        /// <summary>Kills the process and opens a copy of the file in another.</summary>
        /// <returns>Write pointer of the zone before the replay.</returns>
        public async Task<long> RebootAsync(int zone)
        {
            var left = new MemoryStorage("left");
            byte[] bytes = new byte[_storage.Length];
            await _storage.ReadAsync(0, bytes);
            await left.WriteAsync(0, bytes);
            _disk = await BlkRig.OpenAsync(left);
            _found = [await PointerAsync(0), await PointerAsync(1)];
            _rig.Reboot(_disk, _region);
            foreach (var (ticket, _, _, answered) in _all)
            {
                if (!answered)
                {
                    _answers[ticket.Id] = _rig.Wait(ticket);
                }
            }

            return _found[zone];
        }

        public async Task<long> PointerAsync(int zone)
        {
            var zones = new ZoneDescriptor[1];
            await _disk.Zones!.ReportAsync(zone * (long)Zone, zones, TestContext.Current.CancellationToken);
            return zones[0].WritePointer - zones[0].Start;
        }

        /// <summary>
        /// Checks that every replayed append is at its reported sector, that no two share one, and that nothing else was written.
        /// </summary>
        public async Task VerifyAsync(string when)
        {
            var places = new HashSet<long>();
            foreach (var (ticket, zone, data, _) in _all.Where(a => !a.Answered))
            {
                var answer = _answers[ticket.Id];
                Assert.True(answer.Status == Ok, $"{when}: status {answer.Status}");
                long at = BinaryPrimitives.ReadInt64LittleEndian(answer.Data) * 512;
                Assert.True(at / Zone == zone && places.Add(at), $"{when}: {at} twice, or not in zone {zone}");
                byte[] back = new byte[Block];
                await _disk.ReadAsync(at, back);
                Assert.True(back.AsSpan().SequenceEqual(data), $"{when}: other data at {at}");
            }

            for (int zone = 0; zone < 2; zone++)
            {
                // the next process finds completed appends, then some without a reply; the missing ones follow, once each
                long found = _found[zone], pointer = await PointerAsync(zone);
                long there = Math.Max(0, (found / Block) - _all.Count(a => a.Zone == zone && a.Answered));
                long old = places.Count(p => p / Zone == zone && p % Zone < found),
                    fresh = places.Count(p => p / Zone == zone && p % Zone >= found);
                Assert.True(old == there, $"{when}: zone {zone}: {there} were done, {old} were told so");
                Assert.True(pointer == found + (fresh * Block), $"{when}: zone {zone} ends at {pointer}: {found} and {fresh} more");
            }
        }
    }
}
