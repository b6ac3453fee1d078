using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>A guest's memory in a pinned array, and a bump allocator over it.</summary>
internal sealed unsafe class GuestArena
{
    public const ulong Guest = 0x4000_0000;
    private const ulong User = 0x7f12_0000_0000;
    private const int PageSize = 4096;

    private readonly byte[] _bytes;
    private readonly byte* _base;
    private int _next;

    public GuestArena(int size = 8 << 20)
    {
        Size = size;
        _bytes = GC.AllocateArray<byte>(size + PageSize, pinned: true);
        fixed (byte* start = _bytes)
        {
            _base = (byte*)(((nuint)start + PageSize - 1) & ~(nuint)(PageSize - 1));
        }

        Memory = new GuestMemory([new MappedRegion(Guest, User, (ulong)size, (nint)_base)]);
    }

    public int Size { get; }

    public GuestMemory Memory { get; }

    /// <summary>End of the allocated memory; assign an earlier value to free later allocations.</summary>
    public int Mark
    {
        get => _next;
        set => _next = value;
    }

    public static ulong ToUser(ulong guest) => guest - Guest + User;

    public ulong Allocate(int size, int alignment = 16)
    {
        _next = (_next + alignment - 1) & -alignment;
        ulong at = Guest + (ulong)_next;
        _next += size;
        Assert.True(_next <= Size, "the arena is too small for this test");
        return at;
    }

    public ulong Put(ReadOnlySpan<byte> data)
    {
        ulong at = Allocate(Math.Max(1, data.Length));
        data.CopyTo(At(at, data.Length));
        return at;
    }

    public byte* Place(ulong guest) => _base + (guest - Guest);

    public Span<byte> At(ulong guest, int length) => new(Place(guest), length);

    public InflightRegion Inflight(int size, bool packed, bool notes = false)
    {
        int bytes = InflightRegion.BytesFor(size, packed);
        return new InflightRegion(
            (nint)Place(Allocate(bytes, 64)), bytes, notes ? (nint)Place(Allocate(AppendNotes.BytesFor(size), 64)) : 0);
    }
}

/// <summary>A segment of a request.</summary>
internal readonly record struct Piece(ulong Address, int Length, bool Write);
