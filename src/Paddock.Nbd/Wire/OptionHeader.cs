using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// Header of a client's option; the payload follows.
/// <code>
/// offset size
///      0    8  IHAVEOPT
///      8    4  option
///     12    4  length of the payload
/// </code>
/// </summary>
/// <param name="Option">Option number.</param>
/// <param name="Length">Bytes that follow.</param>
internal readonly record struct OptionHeader(NbdOption Option, uint Length)
{
    private const int OptionAt = sizeof(ulong);
    private const int LengthAt = OptionAt + sizeof(uint);

    /// <summary>Bytes.</summary>
    public const int Size = LengthAt + sizeof(uint);

    public static OptionHeader Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(OptionHeader), 0, NbdMagic.Option, BinaryPrimitives.ReadUInt64BigEndian(from));
        return new OptionHeader(
            (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(from[OptionAt..]), BinaryPrimitives.ReadUInt32BigEndian(from[LengthAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, NbdMagic.Option);
        BinaryPrimitives.WriteUInt32BigEndian(to[OptionAt..], (uint)Option);
        BinaryPrimitives.WriteUInt32BigEndian(to[LengthAt..], Length);
    }
}
