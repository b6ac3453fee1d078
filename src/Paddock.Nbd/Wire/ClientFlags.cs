using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// A client's reply to the greeting.
/// <code>
/// offset size
///      0    4  client flags: the handshake flags that it accepts
/// </code>
/// </summary>
/// <param name="Flags">Accepted handshake flags.</param>
internal readonly record struct ClientFlags(HandshakeFlags Flags)
{
    /// <summary>Bytes.</summary>
    public const int Size = sizeof(uint);

    /// <exception cref="NbdProtocolException">A flag was not offered.</exception>
    public static ClientFlags Parse(ReadOnlySpan<byte> from)
    {
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(from);
        return (flags & ~(uint)(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes)) == 0
            ? new ClientFlags((HandshakeFlags)flags)
            : throw new NbdProtocolException(nameof(ClientFlags), 0, $"flags 0x{flags:x} were not offered");
    }

    public void WriteTo(Span<byte> to) => BinaryPrimitives.WriteUInt32BigEndian(to, (uint)Flags);
}
