using System.Buffers.Binary;
using System.Text;

namespace Paddock.Nbd.Wire;

/// <summary>
/// A length-prefixed string.
/// <code>
/// offset size
///      0    4  length of the text
///      4    n  text, UTF-8, at most 4096 bytes
/// </code>
/// </summary>
internal static class NbdString
{
    /// <summary>Maximum length of a string in bytes.</summary>
    public const int Longest = 4096;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Parses a length-prefixed string.</summary>
    /// <param name="structure">Name of the containing structure, for error messages.</param>
    /// <param name="from">Bytes that begin with the string.</param>
    /// <param name="used">Number of bytes parsed.</param>
    public static string Parse(string structure, ReadOnlySpan<byte> from, out int used)
    {
        NbdProtocolException.ExpectAtLeast(structure, sizeof(uint), from.Length);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(from);
        if (length > Longest)
        {
            throw new NbdProtocolException(structure, 0, $"a text of {length} bytes is longer than {Longest}");
        }

        used = sizeof(uint) + (int)length;
        NbdProtocolException.ExpectAtLeast(structure, used, from.Length);
        return Text(structure, sizeof(uint), from[sizeof(uint)..used]);
    }

    /// <summary>Parses a string of known length.</summary>
    public static string Text(string structure, int offset, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Longest)
        {
            throw new NbdProtocolException(structure, offset, $"a text of {bytes.Length} bytes is longer than {Longest}");
        }

        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new NbdProtocolException(structure, offset, "a text that is no UTF-8");
        }
    }

    public static byte[] ToBytes(string text)
    {
        byte[] bytes = new byte[sizeof(uint) + Encoding.UTF8.GetByteCount(text)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)(bytes.Length - sizeof(uint)));
        Encoding.UTF8.GetBytes(text, bytes.AsSpan(sizeof(uint)));
        return bytes;
    }
}
