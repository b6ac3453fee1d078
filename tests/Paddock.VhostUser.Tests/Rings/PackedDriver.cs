using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>The guest's side of a packed ring.</summary>
internal sealed unsafe class PackedDriver : RingDriver
{
    private readonly byte* _ring;
    private readonly byte* _driverEvent;
    private readonly byte* _deviceEvent;
    private readonly int[] _lengths;
    private readonly Stack<ushort> _ids;
    private readonly bool _events;
    private RingPosition _next = new(0, true);
    private RingPosition _used = new(0, true);
    private int _added;

    public PackedDriver(GuestArena arena, int size, RingFeatures features)
        : base(arena, size, features)
    {
        ulong ring = arena.Allocate(16 * size), driver = arena.Allocate(4), device = arena.Allocate(4);
        _ring = arena.Place(ring);
        _driverEvent = arena.Place(driver);
        _deviceEvent = arena.Place(device);
        Addresses = new RingAddresses(GuestArena.ToUser(ring), GuestArena.ToUser(driver), GuestArena.ToUser(device));
        _events = (features & RingFeatures.EventIndex) != 0;
        _lengths = new int[size];
        _ids = new Stack<ushort>(Enumerable.Range(0, size).Reverse().Select(i => (ushort)i));
    }

    public byte* Ring => _ring;

    public byte* DeviceEvent => _deviceEvent;

    public byte* DriverEvent => _driverEvent;

    public override int Add(ReadOnlySpan<Piece> pieces, bool indirect = false)
    {
        ushort id = _ids.Pop();
        int count = indirect ? 1 : pieces.Length;
        _lengths[id] = count;
        var at = _next;
        byte* head = _ring + (16 * at.Index);
        ushort headFlags = 0;
        for (int i = 0; i < count; i++)
        {
            var piece = indirect ? new Piece(FillTable(id, pieces), 16 * pieces.Length, false) : pieces[i];
            var flags = (at.Wrap ? DescriptorFlags.Available : DescriptorFlags.Used)
                | (indirect ? DescriptorFlags.Indirect : 0)
                | (piece.Write ? DescriptorFlags.Write : 0) | (i < count - 1 ? DescriptorFlags.Next : 0);
            byte* place = _ring + (16 * at.Index);
            if (i == 0)
            {
                headFlags = (ushort)flags;
                Put(place, piece, id, *(ushort*)(place + 14));
            }
            else
            {
                Put(place, piece, id, (ushort)flags);
            }

            at = at.Advance(1, Size);
        }

        Volatile.Write(ref *(ushort*)(head + 14), headFlags);
        _next = at;
        _added += count;
        return id;
    }

    public override bool TryGetUsed(out int id, out uint written)
    {
        (id, written) = (-1, 0);
        byte* at = _ring + (16 * _used.Index);
        var flags = (DescriptorFlags)Volatile.Read(ref *(ushort*)(at + 14));
        bool used = (flags & DescriptorFlags.Used) != 0, available = (flags & DescriptorFlags.Available) != 0;
        if (used != available || used != _used.Wrap)
        {
            return false;
        }

        id = *(ushort*)(at + 12);
        written = *(uint*)(at + 8);
        _used = _used.Advance(_lengths[id], Size);
        _lengths[id] = 0;
        _ids.Push((ushort)id);
        return true;
    }

    public override bool NeedsKick()
    {
        int added = _added;
        _added = 0;
        Interlocked.MemoryBarrier();
        ushort flags = *(ushort*)(_deviceEvent + 2), place = *(ushort*)_deviceEvent;
        if (flags != 2)
        {
            return flags == 0 && added > 0;
        }

        // distance back from the slot of the next descriptor
        int index = place & 0x7fff;
        int back = _next.Index - index + (place >> 15 != 0 == _next.Wrap ? 0 : Size);
        return back > 0 && back <= added;
    }

    public override void Mute() => *(ushort*)(_driverEvent + 2) = 1;

    public override void NotifyAfter(int more)
    {
        // assumes requests of one descriptor each
        var at = _used.Advance(more - 1, Size);
        *(ushort*)_driverEvent = (ushort)(at.Index | (at.Wrap ? 0x8000 : 0));
        *(ushort*)(_driverEvent + 2) = (ushort)(_events ? 2 : 0);
    }
}
