using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// A region of the client's memory that the device may access ("VFIO_USER_DMA_MAP").
/// <code>
/// offset size
///      0    4  size of this structure
///      4    4  flags
///      8    8  offset in the file that accompanies the message
///     16    8  address on the bus
///     24    8  length in bytes
/// </code>
/// </summary>
/// <param name="Flags">Whether the device may read and write it.</param>
/// <param name="FileOffset">Offset in its file; 0 without a file.</param>
/// <param name="Address">Address on the bus.</param>
/// <param name="Length">Length in bytes, at least 1.</param>
internal readonly record struct DmaMap(DmaFlags Flags, ulong FileOffset, ulong Address, ulong Length)
{
    private const int FlagsAt = sizeof(uint);
    private const int FileOffsetAt = FlagsAt + sizeof(uint);
    private const int AddressAt = FileOffsetAt + sizeof(ulong);
    private const int LengthAt = AddressAt + sizeof(ulong);

    /// <summary>Size in bytes.</summary>
    public const int Size = LengthAt + sizeof(ulong);

    /// <exception cref="RequestFailedException">Another size, unknown flags, or a region that is empty or wraps around.</exception>
    public static DmaMap Parse(ReadOnlySpan<byte> from)
    {
        Payload.ExpectSize(Command.DmaMap, Size, from.Length);
        Payload.ExpectArguments(Command.DmaMap, Size, BinaryPrimitives.ReadUInt32LittleEndian(from));
        var map = new DmaMap(
            (DmaFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[FileOffsetAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[AddressAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[LengthAt..]));
        if ((map.Flags & ~(DmaFlags.Readable | DmaFlags.Writable)) != 0)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"a memory region with flags 0x{(uint)map.Flags:x}: expected 0 to 3");
        }

        // the last byte may be the last of the address space: only the byte after it wraps around
        return map.Length > 0 && map.Length - 1 <= ulong.MaxValue - map.Address && map.FileOffset <= long.MaxValue
            && map.Length <= long.MaxValue - map.FileOffset
            ? map
            : throw new RequestFailedException(
                ErrorNumber.Invalid, $"a memory region of {map.Length} bytes at 0x{map.Address:x} is empty or wraps around");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Size);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(to[FileOffsetAt..], FileOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(to[AddressAt..], Address);
        BinaryPrimitives.WriteUInt64LittleEndian(to[LengthAt..], Length);
    }
}
