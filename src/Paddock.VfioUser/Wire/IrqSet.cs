using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// An action on interrupts ("VFIO_USER_DEVICE_SET_IRQS"); there is no payload in the reply.
/// <code>
/// offset size
///      0    4  size of this structure with its data
///      4    4  flags: one kind of data, one action
///      8    4  index of the interrupt type
///     12    4  first interrupt
///     16    4  number of interrupts
///     20    n  one byte for each, with VFIO_IRQ_SET_DATA_BOOL
/// </code>
/// </summary>
/// <param name="Flags">Flags.</param>
/// <param name="Index">Index of the type.</param>
/// <param name="Start">First interrupt.</param>
/// <param name="Count">Number of interrupts.</param>
internal readonly record struct IrqSet(IrqSetFlags Flags, uint Index, uint Start, uint Count)
{
    private const int FlagsAt = sizeof(uint);
    private const int IndexAt = FlagsAt + sizeof(uint);
    private const int StartAt = IndexAt + sizeof(uint);
    private const int CountAt = StartAt + sizeof(uint);

    /// <summary>Size in bytes without data.</summary>
    public const int Size = CountAt + sizeof(uint);

    /// <summary>Kind of data.</summary>
    public IrqSetFlags Data => Flags & IrqSetFlags.DataMask;

    /// <summary>The action.</summary>
    public IrqSetFlags Action => Flags & IrqSetFlags.ActionMask;

    /// <summary>Reads a request; the caller checks the interrupts against those of the device.</summary>
    /// <exception cref="RequestFailedException">Another size, no such type, or flags that contradict each other.</exception>
    public static IrqSet Parse(ReadOnlySpan<byte> from)
    {
        Payload.ExpectLeast(Command.SetIrqs, Size, from.Length);
        Payload.ExpectArguments(Command.SetIrqs, Size, BinaryPrimitives.ReadUInt32LittleEndian(from));
        var set = new IrqSet(
            (IrqSetFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[IndexAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[StartAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[CountAt..]));
        if (!uint.IsPow2((uint)set.Data) || !uint.IsPow2((uint)set.Action)
            || (set.Flags & ~(IrqSetFlags.DataMask | IrqSetFlags.ActionMask)) != 0)
        {
            throw new RequestFailedException(
                ErrorNumber.Invalid, $"interrupts set with flags 0x{(uint)set.Flags:x}: expected one kind of data and one action");
        }

        if (set.Index >= IrqIndex.Count)
        {
            throw new RequestFailedException(
                ErrorNumber.Invalid, $"interrupt type {set.Index} does not exist: expected 0 to {IrqIndex.Count - 1}");
        }

        if (set.Data == IrqSetFlags.DataBool && from.Length - Size != set.Count)
        {
            throw new RequestFailedException(
                ErrorNumber.Invalid, $"{from.Length - Size} bytes of data for {set.Count} interrupts: expected one for each");
        }

        return set;
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Size + (Data == IrqSetFlags.DataBool ? Count : 0));
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[IndexAt..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(to[StartAt..], Start);
        BinaryPrimitives.WriteUInt32LittleEndian(to[CountAt..], Count);
    }
}
