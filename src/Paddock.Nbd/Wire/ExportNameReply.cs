using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The reply to EXPORT_NAME, which has no reply header.
/// <code>
/// offset size
///      0    8  size of the export
///      8    2  transmission flags
///     10  124  zeroes, unless the client took NO_ZEROES
/// </code>
/// </summary>
/// <param name="ExportSize">Bytes of the export.</param>
/// <param name="Flags">Transmission flags.</param>
internal readonly record struct ExportNameReply(ulong ExportSize, TransmissionFlags Flags)
{
    private const int FlagsAt = sizeof(ulong);

    /// <summary>Bytes without the zeroes.</summary>
    public const int Size = FlagsAt + sizeof(ushort);

    /// <summary>Number of zeroes that follow.</summary>
    public const int Zeroes = 124;

    public static ExportNameReply Parse(ReadOnlySpan<byte> from)
        => new(BinaryPrimitives.ReadUInt64BigEndian(from), (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]));

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, ExportSize);
        BinaryPrimitives.WriteUInt16BigEndian(to[FlagsAt..], (ushort)Flags);
    }
}
