using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of an INFO reply of type EXPORT, which is always sent.
/// <code>
/// offset size
///      0    2  0: type EXPORT
///      2    8  size of the export
///     10    2  transmission flags
/// </code>
/// </summary>
/// <param name="ExportSize">Bytes of the export.</param>
/// <param name="Flags">Transmission flags.</param>
internal readonly record struct ExportInfo(ulong ExportSize, TransmissionFlags Flags)
{
    private const int SizeAt = sizeof(ushort);
    private const int FlagsAt = SizeAt + sizeof(ulong);

    /// <summary>Bytes.</summary>
    public const int Size = FlagsAt + sizeof(ushort);

    public static ExportInfo Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectLength(nameof(ExportInfo), Size, from.Length);
        return new(BinaryPrimitives.ReadUInt64BigEndian(from[SizeAt..]),
            (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)InfoType.Export);
        BinaryPrimitives.WriteUInt64BigEndian(to[SizeAt..], ExportSize);
        BinaryPrimitives.WriteUInt16BigEndian(to[FlagsAt..], (ushort)Flags);
    }
}
