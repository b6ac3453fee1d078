using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Tests.Blk;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>A zoned disk whose server is killed: the next server receives the record over a real socket.</summary>
public class ReconnectTests
{
    private const ulong GuestAt = 0x10_0000;
    private const int RamBytes = 4 << 20, Zone = 1 << 20, Block = 4096, RingSize = 16, Rings = 2;

    private static readonly byte[] Data = [.. Enumerable.Repeat((byte)5, Block)];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Replay_distinguishes_done_and_undone_appends_of_equal_data(bool packed)
    {
        var storage = new MemoryStorage("disk");
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone }, 2 * Zone, storage);
        var dying = new DyingProcess(disk, () => disk.FlushAsync().AsTask());
        using var ram = new GuestRam(GuestAt, RamBytes);
        byte[] description = new byte[InflightDescription.PaddedSize], record, memory;
        GuestRing[] rings;
        (int Id, ulong Data, ulong Status) done, undone;
        await using (var bench = new Bench(Rings, dying.Device))
        using (var frontEnd = Begin(bench, ram, packed))
        {
            using var file = NewRecord(frontEnd, description);
            rings = [.. Enumerable.Range(0, Rings).Select(i => frontEnd.Ring(i, RingSize, packed))];
            for (int i = 0; i < Rings; i++)
            {
                frontEnd.Start(i, rings[i], Bench.StartOf(packed));
            }

            dying.Next = _ => Death.BeforeItWasAnswered;
            done = await StickAsync(frontEnd, rings[0], dying, 1);
            dying.Next = _ => Death.BeforeItLanded;
            undone = await StickAsync(frontEnd, rings[1], dying, 2);

            // the state that a server killed at this moment leaves
            record = GuestRam.CopyOf(file, (int)InflightDescription.Parse(description).Length);
            memory = ram.Span(GuestAt, RamBytes).ToArray();
            storage = await CopyAsync(storage);
            dying.Release();
        }

        memory.CopyTo(ram.Span(GuestAt, RamBytes));
        await using var left = await BlkRig.OpenAsync(storage);
        await using var next = new Bench(Rings, left);
        using var again = Begin(next, ram, packed);
        using var kept = GuestRam.FileOf(record);
        Assert.Equal(0UL, again.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, kept));
        again.Start(0, rings[0], Bench.StartOf(packed));
        Assert.Equal(done.Id, rings[0].Get(TestContext.Current.CancellationToken).Id);
        Assert.Equal(0, Landed(ram, done.Status));

        // equal data is written at the sector where the second was to go
        var (id, _, status) = again.Put(rings[0], (uint)RequestType.ZoneAppend, 0, Data, Block);
        rings[0].Kick.Signal();
        Assert.Equal(id, rings[0].Get(TestContext.Current.CancellationToken).Id);
        Assert.Equal(Block, Landed(ram, status));
        again.Start(1, rings[1], Bench.StartOf(packed));
        Assert.Equal(undone.Id, rings[1].Get(TestContext.Current.CancellationToken).Id);
        Assert.Equal(2 * Block, Landed(ram, undone.Status));
        var zones = new ZoneDescriptor[1];
        await left.Zones!.ReportAsync(0, zones, TestContext.Current.CancellationToken);
        Assert.Equal(3 * Block, zones[0].WritePointer);
        Array.ForEach(rings, r => r.Dispose());
    }

    [Fact]
    public async Task Record_of_another_back_end_without_notes_is_accepted()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone }, 2 * Zone);
        await using var bench = new Bench(Rings, disk);
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var frontEnd = Begin(bench, ram, packed: false);
        byte[] description = new byte[InflightDescription.PaddedSize];
        using var own = NewRecord(frontEnd, description);
        var whole = InflightDescription.Parse(description);
        foreach (long length in new[] { (long)whole.Length, (long)whole.Length - 64 - (Rings * RingSize * 24) })
        {
            (whole with { Length = (ulong)length }).WriteTo(description);
            using var other = GuestRam.FileOf(new byte[length]);
            Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, other));
            using var ring = frontEnd.Ring(0, RingSize, packed: false);
            ram.Span(GuestAt, GuestRing.Bytes).Clear();
            frontEnd.Start(0, ring, 0);
            var (id, _, status) = frontEnd.Put(ring, (uint)RequestType.ZoneAppend, 0, Data, Block);
            ring.Kick.Signal();
            Assert.Equal(id, ring.Get(TestContext.Current.CancellationToken).Id);
            Assert.Equal(0, ram.Span(status, 1)[0]);
            frontEnd.AskBase(0);
        }
    }

    private static FrontEnd Begin(Bench bench, GuestRam ram, bool packed)
    {
        var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
        frontEnd.ShareMemory();
        return frontEnd;
    }

    private static SafeFileHandle NewRecord(FrontEnd frontEnd, byte[] description)
    {
        new InflightDescription(0, 0, Rings, RingSize).WriteTo(description);
        var reply = frontEnd.Ask(FrontEndRequest.GetInflightDescriptor, description);
        reply.Payload.CopyTo(description);
        var file = reply.TakeDescriptor(0);
        Assert.Equal(0UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, file));
        return file;
    }

    private static async Task<(int Id, ulong Data, ulong Status)> StickAsync(
        FrontEnd frontEnd, GuestRing ring, DyingProcess disk, int stuck)
    {
        var put = frontEnd.Put(ring, (uint)RequestType.ZoneAppend, 0, Data, Block);
        ring.Kick.Signal();
        while (disk.Stuck < stuck)
        {
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        return put;
    }

    private static long Landed(GuestRam ram, ulong status)
    {
        Assert.Equal(0, ram.Span(status, 1)[0]);
        return BinaryPrimitives.ReadInt64LittleEndian(ram.Span(status - sizeof(long), sizeof(long))) * 512;
    }

    private static async Task<MemoryStorage> CopyAsync(MemoryStorage from)
    {
        var to = new MemoryStorage("left");
        byte[] bytes = new byte[from.Length];
        await from.ReadAsync(0, bytes);
        await to.WriteAsync(0, bytes);
        return to;
    }
}
