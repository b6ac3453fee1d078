using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// How a command's data lies in a slab: with room before it for the PDU's header, behind it for its digest and a completion.
/// </summary>
internal static class TransferBuffer
{
    /// <summary>Room before the data: a command's header with its digest is the longest.</summary>
    public const int Headroom = 128;

    private const int Tailroom = 64;

    /// <summary>A slab for so much data; null when the pool's limit is reached.</summary>
    public static Slab? TryRentTransfer(this SlabPool pool, int data) => pool.TryRent(Headroom + data + Tailroom);

    /// <summary>The data in a slab that was rented for so many bytes.</summary>
    public static Memory<byte> Data(this Slab slab, int length) => slab.Bytes.AsMemory(Headroom, length);
}
