using System.Text;

namespace Paddock.Block;

/// <summary>
/// File names are bytes. As text they are UTF-8, and a byte that is not part of UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which
/// turns into the same byte again (as Python's surrogateescape does).
/// </summary>
internal static class ByteText
{
    private const char First = '\udc80', Last = '\udcff';
    private const int Base = 0xdc00;

    /// <summary>UTF-8 for terminals and logs: a byte of a name that is not UTF-8 is written as <c>\xNN</c>.</summary>
    public static Encoding Printing { get; } = MakePrinting();

    /// <summary>Whether a character stands for a byte that is not UTF-8. In a surrogate pair it does not.</summary>
    public static bool IsByte(char c) => c is >= First and <= Last;

    /// <summary>The text of bytes.</summary>
    public static string FromBytes(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        Span<char> units = stackalloc char[2];
        while (bytes.Length > 0)
        {
            bool valid = Rune.DecodeFromUtf8(bytes, out var rune, out int taken) == System.Buffers.OperationStatus.Done;
            if (valid)
            {
                text.Append(units[..rune.EncodeToUtf16(units)]);
            }
            else
            {
                foreach (byte b in bytes[..taken])
                {
                    text.Append((char)(Base + b));
                }
            }

            bytes = bytes[taken..];
        }

        return text.ToString();
    }

    /// <summary>The bytes of a text.</summary>
    public static byte[] ToBytes(string text) => ToBytes(text, 0);

    /// <summary>The bytes of a file's name, ended by a zero as the C library requires.</summary>
    /// <exception cref="BlockException">The name contains a zero itself.</exception>
    public static byte[] ToPath(string name)
        => !name.Contains('\0', StringComparison.Ordinal) ? ToBytes(name, 1)
            : throw new BlockException(BlockError.InvalidArgument, "a file name contains a zero byte") { Errno = 22 };

    private static byte[] ToBytes(string text, int zeroes)
    {
        var bytes = new byte[Encoding.UTF8.GetMaxByteCount(text.Length) + zeroes];
        int at = 0;
        for (int i = 0; i < text.Length;)
        {
            if (Rune.TryGetRuneAt(text, i, out var rune))
            {
                at += rune.EncodeToUtf8(bytes.AsSpan(at));
                i += rune.Utf16SequenceLength;
            }
            else
            {
                at += IsByte(text[i]) ? Put(bytes, at, (byte)(text[i] - Base)) : Rune.ReplacementChar.EncodeToUtf8(bytes.AsSpan(at));
                i++;
            }
        }

        return bytes[..(at + zeroes)];
    }

    private static Encoding MakePrinting()
    {
        var encoding = (Encoding)new UTF8Encoding(encoderShouldEmitUTF8Identifier: false).Clone();
        encoding.EncoderFallback = new EscapeFallback();
        return encoding;
    }

    private static int Put(byte[] bytes, int at, byte value)
    {
        bytes[at] = value;
        return 1;
    }

    private sealed class EscapeFallback : EncoderFallback
    {
        public override int MaxCharCount => 4;

        public override EncoderFallbackBuffer CreateFallbackBuffer() => new EscapeBuffer();
    }

    private sealed class EscapeBuffer : EncoderFallbackBuffer
    {
        private string _text = "";
        private int _at;

        public override int Remaining => _text.Length - _at;

        public override bool Fallback(char charUnknown, int index)
        {
            _text = IsByte(charUnknown) ? string.Create(null, $"\\x{charUnknown & 0xff:x2}") : "\ufffd";
            _at = 0;
            return true;
        }

        public override bool Fallback(char charUnknownHigh, char charUnknownLow, int index) => Fallback(charUnknownHigh, index);

        public override char GetNextChar() => _at < _text.Length ? _text[_at++] : '\0';

        public override bool MovePrevious()
        {
            bool moved = _at > 0;
            _at -= moved ? 1 : 0;
            return moved;
        }
    }
}
