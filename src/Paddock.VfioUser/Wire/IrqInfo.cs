using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// An interrupt type of the device ("VFIO_USER_DEVICE_GET_IRQ_INFO"); in a request, flags and count are 0.
/// <code>
/// offset size
///      0    4  maximum size of the reply's payload; in the reply, its size
///      4    4  flags
///      8    4  index
///     12    4  number of interrupts
/// </code>
/// </summary>
/// <param name="Flags">Flags.</param>
/// <param name="Index">Index of the type.</param>
/// <param name="Count">Number of interrupts.</param>
internal readonly record struct IrqInfo(IrqInfoFlags Flags, uint Index, uint Count)
{
    private const int FlagsAt = sizeof(uint);
    private const int IndexAt = FlagsAt + sizeof(uint);
    private const int CountAt = IndexAt + sizeof(uint);

    /// <summary>Size in bytes.</summary>
    public const int Size = CountAt + sizeof(uint);

    /// <summary>Reads a request.</summary>
    /// <returns>Index of the type.</returns>
    /// <exception cref="RequestFailedException">Another size, no room for the reply, or no such type.</exception>
    public static uint ParseRequest(ReadOnlySpan<byte> from)
    {
        Payload.ExpectSize(Command.GetIrqInfo, Size, from.Length);
        Payload.ExpectArguments(Command.GetIrqInfo, Size, BinaryPrimitives.ReadUInt32LittleEndian(from));
        uint index = BinaryPrimitives.ReadUInt32LittleEndian(from[IndexAt..]);
        return index < IrqIndex.Count ? index
            : throw new RequestFailedException(
                ErrorNumber.Invalid, $"interrupt type {index} does not exist: expected 0 to {IrqIndex.Count - 1}");
    }

    /// <summary>Reads a reply.</summary>
    public static IrqInfo Parse(ReadOnlySpan<byte> from) => new(
        (IrqInfoFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[IndexAt..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[CountAt..]));

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Size);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[IndexAt..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(to[CountAt..], Count);
    }
}
