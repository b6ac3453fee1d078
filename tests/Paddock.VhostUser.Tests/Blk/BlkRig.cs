using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Tests.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>A guest driver and a device on one ring.</summary>
internal sealed class BlkRig : ILateCompletion
{
    private readonly object _gate = new();
    private readonly Dictionary<int, uint> _used = [];
    private int _ended;

    public BlkRig(IBlockDevice disk, RingFeatures features = RingFeatures.Indirect, ulong refused = 0, VirtioBlkOptions? options = null,
        int memory = 8 << 20)
    {
        Arena = new GuestArena(memory);
        Driver = RingDriver.Create(Arena, 64, features);
        Device = new VirtioBlkDevice(disk, options ?? new VirtioBlkOptions());
        Open(Device.Features & ~refused, null);
    }

    public GuestArena Arena { get; }

    public RingDriver Driver { get; }

    public VirtioBlkDevice Device { get; private set; }

    public Virtqueue Ring { get; private set; } = null!;

    public BlkQueue Queue { get; private set; } = null!;

    public static IBlockDevice Plain(int size = 1 << 20, bool readOnly = false)
    {
        var storage = new MemoryStorage("disk");
        storage.SetLengthAsync(size).AsTask().GetAwaiter().GetResult();
        return CheckedDevice.Wrap(new RawDevice(storage, readOnly));
    }

    public static async Task<IBlockDevice> ZonedAsync(ZonedCreateOptions zones, long size = 8 << 20, MemoryStorage? storage = null)
    {
        storage ??= new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = size, Zoned = zones });
        return await OpenAsync(storage);
    }

    public static async Task<IBlockDevice> OpenAsync(IStorage storage)
    {
        return await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
    }

    public void Open(ulong features, InflightRegion? inflight)
    {
        Ring = Driver.Open(inflight);
        Queue = new BlkQueue(Device, Ring, features, this);
    }

    /// <summary>Starts a new process for the same guest after a crash of the previous one; the disk may be another.</summary>
    public void Reboot(IBlockDevice disk, InflightRegion inflight)
    {
        Device = new VirtioBlkDevice(disk, Device.Options);
        if (inflight.Notes != 0)
        {
            new AppendNotes(inflight.Notes, Driver.Size).Keep(Device.Holds);
        }

        Open(Device.Features, inflight);
    }

    public void Completed(Virtqueue ring)
    {
        lock (_gate)
        {
            _ended++;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Makes a request available; <c>cuts</c> are the lengths of its segments, the rest is the last one.</summary>
    public Ticket Submit(uint type, ulong sector, ReadOnlySpan<byte> output, int writable, int[]? cuts = null, int headerSize = 16)
    {
        byte[] readable = new byte[16 + output.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(readable, type);
        BinaryPrimitives.WriteUInt64LittleEndian(readable.AsSpan(8), sector);
        output.CopyTo(readable.AsSpan(16));
        readable = headerSize == 16 ? readable : readable[..headerSize];
        var pieces = new List<Piece>();
        Cut(readable.Length, cuts ?? [16], (at, length) => pieces.Add(new Piece(Arena.Put(readable.AsSpan(at, length)), length, false)));
        int from = pieces.Count;
        Cut(writable, cuts ?? [writable - 1], (_, length) => pieces.Add(new Piece(Arena.Allocate(length), length, true)));
        foreach (var piece in pieces.Skip(from))
        {
            Arena.At(piece.Address, piece.Length).Fill(0xEE);
        }

        bool indirect = (Driver.Features & RingFeatures.Indirect) != 0 && pieces.Count > 1;
        return new Ticket(Driver.Add([.. pieces], indirect), [.. pieces.Skip(from)]);
    }

    /// <summary>Runs the ring until the request has ended.</summary>
    public Answer Wait(Ticket ticket)
    {
        uint written;
        while (!_used.Remove(ticket.Id, out written))
        {
            Queue.Run(int.MaxValue);
            if (Driver.TryGetUsed(out int id, out uint count))
            {
                _used.Add(id, count);
            }
            else
            {
                AwaitLate();
            }
        }

        byte[] all = [.. ticket.Writable.SelectMany(p => Arena.At(p.Address, p.Length).ToArray())];
        return new Answer(all.Length == 0 ? (byte)0xFF : all[^1], all.Length == 0 ? [] : all[..^1], written);
    }

    /// <summary>Runs one request to its end and frees its memory.</summary>
    public Answer Run(RequestType type, ulong sector, ReadOnlySpan<byte> output = default, int input = 0, int[]? cuts = null)
    {
        int mark = Arena.Mark;
        var answer = Wait(Submit((uint)type, sector, output, input + 1, cuts));
        Arena.Mark = mark;
        return answer;
    }

    private void AwaitLate()
    {
        lock (_gate)
        {
            while (_ended == 0)
            {
                Assert.True(Monitor.Wait(_gate, TimeSpan.FromSeconds(60)), "a request does not end");
            }

            _ended--;
        }
    }

    private static void Cut(int total, int[] cuts, Action<int, int> piece)
    {
        int at = 0;
        foreach (int cut in cuts)
        {
            int length = Math.Min(cut, total - at);
            if (length > 0)
            {
                piece(at, length);
                at += length;
            }
        }

        if (at < total)
        {
            piece(at, total - at);
        }
    }

    internal readonly record struct Ticket(int Id, Piece[] Writable);

    internal readonly record struct Answer(byte Status, byte[] Data, uint Written);
}
