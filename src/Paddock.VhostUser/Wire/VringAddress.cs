using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "A vring address description". The three addresses are those of the front end's process.
/// <code>
/// offset size
///      0    4  ring
///      4    4  flags (bit 0: log writes; not offered, so 0)
///      8    8  descriptors
///     16    8  used ring, or the device's event suppression
///     24    8  available ring, or the driver's event suppression
///     32    8  guest address for logging
/// </code>
/// </summary>
/// <param name="Ring">The ring's number, unchecked.</param>
/// <param name="Flags">Options.</param>
/// <param name="Descriptors">The descriptors.</param>
/// <param name="Used">The area that the device writes.</param>
/// <param name="Available">The area that the driver writes.</param>
/// <param name="Log">Guest address for logging writes to the used ring.</param>
internal readonly record struct VringAddress(uint Ring, uint Flags, ulong Descriptors, ulong Used, ulong Available, ulong Log)
{
    private const int FlagsAt = sizeof(uint);
    private const int DescriptorsAt = FlagsAt + sizeof(uint);
    private const int UsedAt = DescriptorsAt + sizeof(ulong);
    private const int AvailableAt = UsedAt + sizeof(ulong);
    private const int LogAt = AvailableAt + sizeof(ulong);

    /// <summary>Size in bytes.</summary>
    public const int Size = LogAt + sizeof(ulong);

    public static VringAddress Parse(ReadOnlySpan<byte> from)
    {
        VhostUserException.ExpectLength(nameof(VringAddress), Size, from.Length);
        var address = new VringAddress(
            BinaryPrimitives.ReadUInt32LittleEndian(from),
            BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[DescriptorsAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[UsedAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[AvailableAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[LogAt..]));
        return address.Flags == 0
            ? address
            : throw new VhostUserException(nameof(VringAddress), FlagsAt, $"flags 0x{address.Flags:x}, and none were offered");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Ring);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(to[DescriptorsAt..], Descriptors);
        BinaryPrimitives.WriteUInt64LittleEndian(to[UsedAt..], Used);
        BinaryPrimitives.WriteUInt64LittleEndian(to[AvailableAt..], Available);
        BinaryPrimitives.WriteUInt64LittleEndian(to[LogAt..], Log);
    }
}
