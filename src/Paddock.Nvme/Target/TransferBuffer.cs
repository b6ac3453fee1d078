using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Layout of a command's data in a slab, with space for the PDU header before it and for digest and completion behind it.
/// </summary>
internal static class TransferBuffer
{
    /// <summary>Room before the data: a command's header with its digest is the longest.</summary>
    public const int Headroom = 128;

    private const int Tailroom = 64;

    /// <summary>A slab for so much data; null when the pool's limit is reached.</summary>
    public static Slab? TryRentTransfer(this SlabPool pool, int data) => pool.TryRent(SizeFor(data));

    /// <summary>Bytes of a slab for so much data.</summary>
    public static int SizeFor(int data) => Headroom + data + Tailroom;

    /// <summary>The data in a slab that was rented for so many bytes.</summary>
    public static Memory<byte> Data(this Slab slab, int length) => slab.Bytes.AsMemory(Headroom, length);
}
