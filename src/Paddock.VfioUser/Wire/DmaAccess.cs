using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// An access of the device to the client's memory ("VFIO_USER_DMA_READ", "VFIO_USER_DMA_WRITE"): a write and the reply of a read have data
/// after it. The reply of a write may end after four bytes of the count.
/// <code>
/// offset size
///      0    8  address on the bus
///      8    8  bytes of data
/// </code>
/// </summary>
/// <param name="Address">Address on the bus.</param>
/// <param name="Count">Bytes of data.</param>
internal readonly record struct DmaAccess(ulong Address, ulong Count)
{
    private const int CountAt = sizeof(ulong);

    /// <summary>Size in bytes without data.</summary>
    public const int Size = CountAt + sizeof(ulong);

    public static DmaAccess Parse(ReadOnlySpan<byte> from)
        => new(BinaryPrimitives.ReadUInt64LittleEndian(from), BinaryPrimitives.ReadUInt64LittleEndian(from[CountAt..]));

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, Address);
        BinaryPrimitives.WriteUInt64LittleEndian(to[CountAt..], Count);
    }
}
