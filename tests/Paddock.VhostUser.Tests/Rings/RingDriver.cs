using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>The guest's side of a ring, after the driver's part of virtio 1.2, 2.7 and 2.8.</summary>
internal abstract unsafe class RingDriver
{
    /// <summary>Size in bytes of a slot for an indirect table.</summary>
    public const int TableSize = TableDescriptors * Descriptor.Size;

    private const int TableDescriptors = 64;

    protected RingDriver(GuestArena arena, int size, RingFeatures features)
    {
        (Arena, Size, Features) = (arena, size, features);
        Tables = arena.Allocate(size * TableSize);
    }

    public GuestArena Arena { get; }

    public int Size { get; }

    public RingFeatures Features { get; }

    public RingAddresses Addresses { get; protected set; }

    /// <summary>Value of VHOST_USER_SET_VRING_BASE for a new ring.</summary>
    public uint FirstBase => (Features & RingFeatures.Packed) != 0 ? 0x80008000 : 0;

    /// <summary>End of the slots for indirect tables; the ring's parts follow.</summary>
    public ulong TablesEnd => Tables + (ulong)(Size * TableSize);

    private ulong Tables { get; }

    public static RingDriver Create(GuestArena arena, int size, RingFeatures features)
        => (features & RingFeatures.Packed) != 0 ? new PackedDriver(arena, size, features) : new SplitDriver(arena, size, features);

    /// <summary>Makes a request available.</summary>
    /// <returns>The number that its used entry will carry.</returns>
    public abstract int Add(ReadOnlySpan<Piece> pieces, bool indirect = false);

    public abstract bool TryGetUsed(out int id, out uint written);

    /// <summary>Whether the device requires a kick for the requests added since the last call.</summary>
    public abstract bool NeedsKick();

    public abstract void Mute();

    /// <summary>Requests a notification after the given number of further used requests (1: at the next).</summary>
    public abstract void NotifyAfter(int more);

    public Virtqueue Open(InflightRegion? inflight = null, uint? from = null)
        => Virtqueue.Create(Arena.Memory, Features, Size, Addresses, from ?? FirstBase, inflight);

    protected ulong FillTable(int slot, ReadOnlySpan<Piece> pieces)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pieces.Length, TableDescriptors);
        bool packed = (Features & RingFeatures.Packed) != 0;
        ulong table = Tables + (ulong)(slot * TableSize);
        for (int i = 0; i < pieces.Length; i++)
        {
            ushort flags = (ushort)(pieces[i].Write ? DescriptorFlags.Write : 0);
            byte* at = Arena.Place(table) + (i * Descriptor.Size);
            if (packed)
            {
                Put(at, pieces[i], 0, flags);
            }
            else
            {
                bool last = i == pieces.Length - 1;
                Put(at, pieces[i], (ushort)(flags | (ushort)(last ? 0 : DescriptorFlags.Next)), (ushort)(last ? 0 : i + 1));
            }
        }

        return table;
    }

    protected static void Put(byte* at, Piece piece, ushort at12, ushort at14)
    {
        *(ulong*)at = piece.Address;
        *(uint*)(at + 8) = (uint)piece.Length;
        *(ushort*)(at + 12) = at12;
        Volatile.Write(ref *(ushort*)(at + 14), at14);
    }
}
