using Paddock.Posix;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>Contiguous range of guest memory in a request.</summary>
internal readonly record struct GuestPiece(ulong Address, uint Length, bool Writable);

/// <summary>Driver side of a ring, as simple as possible: submits one request at a time and polls for completions.</summary>
internal abstract unsafe class GuestRing(GuestRam ram, ulong at, int size) : IDisposable
{
    public const int Bytes = 64 << 10;

    public int Size { get; } = size;

    public EventDescriptor Kick { get; } = EventDescriptor.Create();

    public EventDescriptor Call { get; } = EventDescriptor.Create();

    public EventDescriptor Error { get; } = EventDescriptor.Create();

    public ulong Descriptors { get; } = at;

    public ulong Driver { get; } = at + (32 << 10);

    public ulong Device { get; } = at + (48 << 10);

    protected GuestRam Ram => ram;

    /// <summary>Makes a request available, without a kick.</summary>
    /// <returns>The identifier of its completion.</returns>
    public abstract int Put(params ReadOnlySpan<GuestPiece> pieces);

    /// <summary>Takes a completion.</summary>
    public abstract bool TryGet(out int id, out uint written);

    public (int Id, uint Written) Get(CancellationToken cancellationToken)
    {
        int id = 0;
        uint written = 0;
        if (!SpinWait.SpinUntil(() => cancellationToken.IsCancellationRequested || TryGet(out id, out written), TimeSpan.FromSeconds(30)))
        {
            throw new TimeoutException("no answer came");
        }

        return (id, written);
    }

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
        Error.Dispose();
    }
}

/// <summary>Split ring (virtio 1.2, 2.7).</summary>
internal sealed unsafe class SplitGuestRing(GuestRam ram, ulong at, int size) : GuestRing(ram, at, size)
{
    private readonly int[] _lengths = new int[size];
    private ushort _available;
    private ushort _used;
    private int _next;

    public override int Put(params ReadOnlySpan<GuestPiece> pieces)
    {
        int head = _next;
        _lengths[head] = pieces.Length;
        for (int i = 0; i < pieces.Length; i++)
        {
            byte* descriptor = Ram.At(Descriptors) + (16 * _next);
            bool last = i == pieces.Length - 1;
            _next = (_next + 1) % Size;
            *(ulong*)descriptor = pieces[i].Address;
            *(uint*)(descriptor + 8) = pieces[i].Length;
            *(ushort*)(descriptor + 12) = (ushort)((pieces[i].Writable ? 2 : 0) | (last ? 0 : 1));
            *(ushort*)(descriptor + 14) = (ushort)_next;
        }

        byte* ring = Ram.At(Driver);
        *(ushort*)(ring + 4 + (2 * (_available % Size))) = (ushort)head;
        Volatile.Write(ref *(ushort*)(ring + 2), ++_available);
        Interlocked.MemoryBarrier();
        return head;
    }

    public override bool TryGet(out int id, out uint written)
    {
        byte* ring = Ram.At(Device);
        (id, written) = (0, 0);
        if (Volatile.Read(ref *(ushort*)(ring + 2)) == _used)
        {
            return false;
        }

        byte* element = ring + 4 + (8 * (_used++ % Size));
        (id, written) = (*(int*)element, *(uint*)(element + 4));
        return true;
    }
}

/// <summary>Packed ring (virtio 1.2, 2.8).</summary>
internal sealed unsafe class PackedGuestRing(GuestRam ram, ulong at, int size) : GuestRing(ram, at, size)
{
    private const int Available = 1 << 7, UsedBit = 1 << 15;

    private readonly int[] _lengths = new int[size];
    private int _put;
    private bool _putWrap = true;
    private int _got;
    private bool _gotWrap = true;

    public override int Put(params ReadOnlySpan<GuestPiece> pieces)
    {
        int id = _put;
        _lengths[id] = pieces.Length;
        ushort headFlags = 0;
        byte* head = null;
        for (int i = 0; i < pieces.Length; i++)
        {
            byte* descriptor = Ram.At(Descriptors) + (16 * _put);
            int flags = (pieces[i].Writable ? 2 : 0) | (i < pieces.Length - 1 ? 1 : 0) | (_putWrap ? Available : UsedBit);
            *(ulong*)descriptor = pieces[i].Address;
            *(uint*)(descriptor + 8) = pieces[i].Length;
            *(ushort*)(descriptor + 12) = (ushort)id;
            if (i == 0)
            {
                head = descriptor;
                headFlags = (ushort)flags;
            }
            else
            {
                *(ushort*)(descriptor + 14) = (ushort)flags;
            }

            if (++_put == Size)
            {
                (_put, _putWrap) = (0, !_putWrap);
            }
        }

        Volatile.Write(ref *(ushort*)(head + 14), headFlags);
        Interlocked.MemoryBarrier();
        return id;
    }

    public override bool TryGet(out int id, out uint written)
    {
        byte* descriptor = Ram.At(Descriptors) + (16 * _got);
        int flags = Volatile.Read(ref *(ushort*)(descriptor + 14));
        bool isUsed = ((flags & Available) != 0) == _gotWrap && ((flags & UsedBit) != 0) == _gotWrap;
        (id, written) = isUsed ? (*(ushort*)(descriptor + 12), *(uint*)(descriptor + 8)) : (0, 0);
        if (isUsed)
        {
            _got += _lengths[id];
            if (_got >= Size)
            {
                (_got, _gotWrap) = (_got - Size, !_gotWrap);
            }
        }

        return isUsed;
    }
}
