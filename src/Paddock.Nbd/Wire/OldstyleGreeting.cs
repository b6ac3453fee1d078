using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The complete handshake of an oldstyle server; requests follow (protocol, "Oldstyle negotiation").
/// <code>
/// offset size
///      0    8  NBDMAGIC
///      8    8  0x0000420281861253
///     16    8  size of the export
///     24    2  zero
///     26    2  transmission flags
///     28  124  zeroes
/// </code>
/// </summary>
/// <param name="ExportSize">Bytes of the export.</param>
/// <param name="Flags">Transmission flags.</param>
internal readonly record struct OldstyleGreeting(ulong ExportSize, TransmissionFlags Flags)
{
    private const int VersionAt = sizeof(ulong);
    private const int SizeAt = VersionAt + sizeof(ulong);
    private const int UpperFlagsAt = SizeAt + sizeof(ulong);
    private const int FlagsAt = UpperFlagsAt + sizeof(ushort);

    /// <summary>Bytes.</summary>
    public const int Size = FlagsAt + sizeof(ushort) + 124;

    /// <summary>Number of bytes that distinguish it from a newstyle greeting.</summary>
    public const int Begin = SizeAt;

    /// <summary>Whether the server speaks the old handshake.</summary>
    /// <param name="from">The first bytes that it sent, at least <see cref="Begin"/>.</param>
    public static bool IsIt(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt64BigEndian(from[VersionAt..]) == NbdMagic.Oldstyle;

    public static OldstyleGreeting Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(OldstyleGreeting), 0, NbdMagic.Greeting, BinaryPrimitives.ReadUInt64BigEndian(from));
        NbdProtocolException.Expect(nameof(OldstyleGreeting), UpperFlagsAt, 0, BinaryPrimitives.ReadUInt16BigEndian(from[UpperFlagsAt..]));
        return new(BinaryPrimitives.ReadUInt64BigEndian(from[SizeAt..]),
            (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]));
    }
}
