using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// A region of the client's memory that the device must no longer access ("VFIO_USER_DMA_UNMAP"); the reply repeats it.
/// <code>
/// offset size
///      0    4  maximum size of the reply's payload; in the reply, its size
///      4    4  flags
///      8    8  address on the bus
///     16    8  length in bytes
/// </code>
/// </summary>
/// <param name="Flags">Flags.</param>
/// <param name="Address">Address on the bus; 0 with <see cref="UnmapFlags.All"/>.</param>
/// <param name="Length">Length in bytes; 0 with <see cref="UnmapFlags.All"/>.</param>
internal readonly record struct DmaUnmap(UnmapFlags Flags, ulong Address, ulong Length)
{
    private const int FlagsAt = sizeof(uint);
    private const int AddressAt = FlagsAt + sizeof(uint);
    private const int LengthAt = AddressAt + sizeof(ulong);

    /// <summary>Size in bytes.</summary>
    public const int Size = LengthAt + sizeof(ulong);

    /// <exception cref="RequestFailedException">Another size, unsupported flags, or a range besides "all".</exception>
    public static DmaUnmap Parse(ReadOnlySpan<byte> from)
    {
        Payload.ExpectSize(Command.DmaUnmap, Size, from.Length);
        Payload.ExpectArguments(Command.DmaUnmap, Size, BinaryPrimitives.ReadUInt32LittleEndian(from));
        var unmap = new DmaUnmap(
            (UnmapFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[AddressAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[LengthAt..]));
        return unmap switch
        {
            { Flags: UnmapFlags.None } or { Flags: UnmapFlags.All, Address: 0, Length: 0 } => unmap,
            { Flags: UnmapFlags.DirtyBitmap } => throw new RequestFailedException(
                ErrorNumber.NotSupported, "a bitmap of dirty pages is asked for: migration is not supported"),
            { Flags: UnmapFlags.All } => throw new RequestFailedException(
                ErrorNumber.Invalid, $"all memory is unmapped, but a range of {unmap.Length} bytes at 0x{unmap.Address:x} is given"),
            _ => throw new RequestFailedException(ErrorNumber.Invalid, $"an unmap with flags 0x{(uint)unmap.Flags:x}: expected 0 or 2"),
        };
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Size);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(to[AddressAt..], Address);
        BinaryPrimitives.WriteUInt64LittleEndian(to[LengthAt..], Length);
    }
}
