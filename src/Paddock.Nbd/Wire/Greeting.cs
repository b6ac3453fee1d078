using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// Greeting of a server (protocol, "newstyle negotiation"). Big endian, as are all structures here.
/// <code>
/// offset size
///      0    8  NBDMAGIC
///      8    8  IHAVEOPT
///     16    2  handshake flags
/// </code>
/// </summary>
/// <param name="Flags">Handshake flags of the server.</param>
internal readonly record struct Greeting(HandshakeFlags Flags)
{
    private const int OptionAt = sizeof(ulong);
    private const int FlagsAt = OptionAt + sizeof(ulong);

    /// <summary>Bytes.</summary>
    public const int Size = FlagsAt + sizeof(ushort);

    public static Greeting Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(Greeting), 0, NbdMagic.Greeting, BinaryPrimitives.ReadUInt64BigEndian(from));
        NbdProtocolException.Expect(nameof(Greeting), OptionAt, NbdMagic.Option, BinaryPrimitives.ReadUInt64BigEndian(from[OptionAt..]));
        return new Greeting((HandshakeFlags)BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, NbdMagic.Greeting);
        BinaryPrimitives.WriteUInt64BigEndian(to[OptionAt..], NbdMagic.Option);
        BinaryPrimitives.WriteUInt16BigEndian(to[FlagsAt..], (ushort)Flags);
    }
}
