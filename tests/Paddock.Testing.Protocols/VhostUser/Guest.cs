using System.Buffers.Binary;
using Paddock.VhostUser.Blk;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>Virtual machine with its memory, its front end and running rings.</summary>
internal sealed class Guest : IDisposable
{
    public const int Zone = 1 << 20, Zones = 8;
    public const ulong MemoryAt = 0x10_0000;

    private const int RingSize = 64;

    // status of a request before its completion
    private const byte Unanswered = 0xff;

    private readonly GuestRam _ram;
    private readonly HashSet<(int Ring, int Id)> _answered = [];

    private Guest(GuestRam ram, FrontEnd frontEnd)
    {
        _ram = ram;
        FrontEnd = frontEnd;
    }

    public FrontEnd FrontEnd { get; }

    public GuestRing[] Rings { get; private set; } = [];

    public static Guest Connect(string path, int rings, bool packed, long memory)
    {
        var ram = new GuestRam(MemoryAt, memory);
        var guest = new Guest(ram, FrontEnd.Connect(path, ram));
        guest.FrontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
        guest.FrontEnd.ShareMemory();
        guest.Rings = [.. Enumerable.Range(0, rings).Select(i => guest.FrontEnd.Ring(i, RingSize, packed))];
        for (int i = 0; i < rings; i++)
        {
            guest.FrontEnd.Start(i, guest.Rings[i], Bench.StartOf(packed));
        }

        return guest;
    }

    /// <summary>Submits a request and kicks the ring.</summary>
    public Asked Ask(RequestType type, long offset, ReadOnlySpan<byte> data = default, int length = 0, int ring = 0, int pieces = 1)
    {
        var (id, at, status) = FrontEnd.Put(Rings[ring], (uint)type, offset, data, Math.Max(length, data.Length), pieces);
        Rings[ring].Kick.Signal();
        return new Asked(ring, id, at, status);
    }

    /// <summary>Waits for the completion of a request.</summary>
    /// <returns>Its status; null if the server disconnected instead.</returns>
    public byte? Wait(Asked asked)
    {
        bool gone = false;
        Assert.True(SpinWait.SpinUntil(() => IsAnswered(asked) || (gone = FrontEnd.HasHungUp), TimeSpan.FromSeconds(30)), "no answer came");
        return gone && !IsAnswered(asked) ? null : _ram.Span(asked.Status, 1)[0];
    }

    public byte? Run(RequestType type, long offset, ReadOnlySpan<byte> data = default, int length = 0, int ring = 0)
        => Wait(Ask(type, offset, data, length, ring));

    public bool IsAnswered(Asked asked)
    {
        while (Rings[asked.Ring].TryGet(out int id, out _))
        {
            _answered.Add((asked.Ring, id));
        }

        return _answered.Contains((asked.Ring, asked.Id)) && _ram.Span(asked.Status, 1)[0] != Unanswered
            && _answered.Remove((asked.Ring, asked.Id));
    }

    public byte[] Read(long offset, int length)
    {
        var asked = Ask(RequestType.In, offset, length: length);
        Assert.Equal((byte)0, Wait(asked));
        return _ram.Span(asked.Data, length).ToArray();
    }

    /// <summary>State and write pointer, in bytes, of each zone.</summary>
    public (byte State, long Pointer)[] Report()
    {
        const int size = 64;
        var asked = Ask(RequestType.ZoneReport, 0, length: size * (Zones + 1));
        Assert.Equal((byte)0, Wait(asked));
        byte[] page = _ram.Span(asked.Data, size * (Zones + 1)).ToArray();
        return [.. Enumerable.Range(1, Zones).Select(z =>
            (page[(z * size) + 25], BinaryPrimitives.ReadInt64LittleEndian(page.AsSpan((z * size) + 16)) * 512))];
    }

    public void Dispose()
    {
        FrontEnd.Dispose();
        Array.ForEach(Rings, r => r.Dispose());
        _ram.Dispose();
    }

    internal readonly record struct Asked(int Ring, int Id, ulong Data, ulong Status);
}
