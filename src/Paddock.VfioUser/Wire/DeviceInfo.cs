using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// What the device is ("VFIO_USER_DEVICE_GET_INFO"); in a request, only the first field counts.
/// <code>
/// offset size
///      0    4  maximum size of the reply's payload; in the reply, its size
///      4    4  flags
///      8    4  number of regions
///     12    4  number of interrupt types
/// </code>
/// </summary>
/// <param name="Flags">Flags.</param>
/// <param name="Regions">Number of regions.</param>
/// <param name="Irqs">Number of interrupt types.</param>
internal readonly record struct DeviceInfo(DeviceFlags Flags, uint Regions, uint Irqs)
{
    private const int FlagsAt = sizeof(uint);
    private const int RegionsAt = FlagsAt + sizeof(uint);
    private const int IrqsAt = RegionsAt + sizeof(uint);

    /// <summary>Size in bytes.</summary>
    public const int Size = IrqsAt + sizeof(uint);

    /// <summary>Checks a request.</summary>
    /// <exception cref="RequestFailedException">Another size, or no room for the reply.</exception>
    public static void CheckRequest(ReadOnlySpan<byte> from)
    {
        Payload.ExpectSize(Command.GetInfo, Size, from.Length);
        Payload.ExpectArguments(Command.GetInfo, Size, BinaryPrimitives.ReadUInt32LittleEndian(from));
    }

    /// <summary>Reads a reply.</summary>
    public static DeviceInfo Parse(ReadOnlySpan<byte> from) => new(
        (DeviceFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[RegionsAt..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[IrqsAt..]));

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Size);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[RegionsAt..], Regions);
        BinaryPrimitives.WriteUInt32LittleEndian(to[IrqsAt..], Irqs);
    }
}
