using System.Buffers.Binary;
using System.Text;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of an error chunk.
/// <code>
/// offset size
///      0    4  error
///      4    2  length of the message
///      6    n  message, UTF-8
///    6+n    8  offset of the error (type ERROR_OFFSET only)
/// </code>
/// </summary>
/// <param name="Error">Error number.</param>
/// <param name="Message">Message.</param>
internal readonly record struct ErrorPayload(NbdError Error, string Message)
{
    private const int LengthAt = sizeof(uint);

    /// <summary>Bytes before the message.</summary>
    public const int HeadSize = LengthAt + sizeof(ushort);

    /// <summary>Maximum length of a string in the protocol.</summary>
    public const int LongestMessage = 4096;

    /// <exception cref="NbdProtocolException">A message longer than the payload, or no error.</exception>
    public static ErrorPayload Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectAtLeast(nameof(ErrorPayload), HeadSize, from.Length);
        var error = (NbdError)BinaryPrimitives.ReadUInt32BigEndian(from);
        int length = BinaryPrimitives.ReadUInt16BigEndian(from[LengthAt..]);
        NbdProtocolException.ExpectAtLeast(nameof(ErrorPayload), HeadSize + length, from.Length);
        return error != NbdError.None
            ? new ErrorPayload(error, Encoding.UTF8.GetString(from.Slice(HeadSize, length)))
            : throw new NbdProtocolException(nameof(ErrorPayload), 0, "an error chunk without an error");
    }

    /// <summary>The payload as bytes; truncates a message that is too long.</summary>
    public byte[] ToBytes()
    {
        byte[] text = Encoding.UTF8.GetBytes(Message);
        int length = Math.Min(text.Length, LongestMessage);
        byte[] bytes = new byte[HeadSize + length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)Error);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(LengthAt), (ushort)length);
        text.AsSpan(0, length).CopyTo(bytes.AsSpan(HeadSize));
        return bytes;
    }
}
