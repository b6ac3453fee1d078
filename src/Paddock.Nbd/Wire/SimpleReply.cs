using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// A reply without chunks; the data of a read follows it.
/// <code>
/// offset size
///      0    4  simple reply magic
///      4    4  error; 0 for success
///      8    8  cookie
/// </code>
/// </summary>
/// <param name="Error">Error number.</param>
/// <param name="Cookie">Cookie of the request.</param>
internal readonly record struct SimpleReply(NbdError Error, ulong Cookie)
{
    private const int ErrorAt = sizeof(uint);
    private const int CookieAt = ErrorAt + sizeof(uint);

    /// <summary>Bytes.</summary>
    public const int Size = CookieAt + sizeof(ulong);

    public static SimpleReply Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(SimpleReply), 0, NbdMagic.SimpleReply, BinaryPrimitives.ReadUInt32BigEndian(from));
        return new SimpleReply(
            (NbdError)BinaryPrimitives.ReadUInt32BigEndian(from[ErrorAt..]), BinaryPrimitives.ReadUInt64BigEndian(from[CookieAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32BigEndian(to, NbdMagic.SimpleReply);
        BinaryPrimitives.WriteUInt32BigEndian(to[ErrorAt..], (uint)Error);
        BinaryPrimitives.WriteUInt64BigEndian(to[CookieAt..], Cookie);
    }
}
