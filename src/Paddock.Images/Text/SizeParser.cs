using System.Globalization;
using System.Numerics;

namespace Paddock.Images.Text;

/// <summary>How a number did not parse.</summary>
internal enum NumberFault
{
    /// <summary>It did.</summary>
    None,

    /// <summary>It is no number, or something follows it.</summary>
    Invalid,

    /// <summary>It is a number, but does not fit.</summary>
    OutOfRange,
}

/// <summary>
/// Sizes as QEMU's tools take them: decimal with a fraction where a suffix follows, hexadecimal, suffixes b k M G T P E in powers of 1024.
/// </summary>
internal static class SizeParser
{
    private const string Suffixes = "bkmgtpe";

    /// <summary>Parses a whole text; the value is 0 unless the fault is <see cref="NumberFault.None"/>.</summary>
    public static NumberFault TryParse(string text, out ulong value)
    {
        var fault = ParsePrefix(text, out value, out int used);
        if (fault == NumberFault.None && used != text.Length)
        {
            fault = NumberFault.Invalid;
        }

        value = fault == NumberFault.None ? value : 0;
        return fault;
    }

    /// <summary>Parses a command-line number between 0 and 2^63 - 1, with the message that qemu-img gives for others.</summary>
    /// <param name="what">What the number is, for the message, such as <c>image size</c>.</param>
    /// <param name="text">What was typed.</param>
    /// <param name="min">Smallest value.</param>
    /// <param name="max">Largest value.</param>
    /// <param name="isSize">False where suffixes are not taken.</param>
    /// <exception cref="ToolException">Not such a number.</exception>
    public static long Argument(string what, string text, long min = 0, long max = long.MaxValue, bool isSize = true)
    {
        ulong value;
        var fault = isSize ? TryParse(text, out value) : TryParseInteger(text, out value);
        if (fault == NumberFault.Invalid && text.StartsWith('-') && TryParseInteger(text[1..], out _) == NumberFault.None)
        {
            fault = NumberFault.OutOfRange;
        }

        if (fault == NumberFault.Invalid)
        {
            throw new ToolException($"Invalid {what} specified: '{text}'.");
        }

        return fault == NumberFault.OutOfRange || value > (ulong)max || (long)value < min
            ? throw new ToolException($"Invalid {what} specified. Must be between {min} and {max}.")
            : (long)value;
    }

    /// <summary>Parses a size option of a <c>-o</c> list.</summary>
    /// <exception cref="ToolException">With QEMU's text for the option <paramref name="name"/>.</exception>
    public static ulong Option(string name, string text) => TryParse(text, out ulong value) switch
    {
        NumberFault.Invalid when text.StartsWith('-') && TryParseInteger(text[1..], out _) == NumberFault.None
            => throw new ToolException($"Value '{text}' is out of range for parameter '{name}'"),
        NumberFault.Invalid => throw new ToolException(
            $"Parameter '{name}' expects a non-negative number below 2^64\n"
            + "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."),
        NumberFault.OutOfRange => throw new ToolException($"Value '{text}' is out of range for parameter '{name}'"),
        _ => value,
    };

    /// <summary>Parses an unsigned integer: decimal, 0x hexadecimal or 0 octal, no suffix.</summary>
    public static NumberFault TryParseInteger(string text, out ulong value)
    {
        value = 0;
        string t = text.Trim(' ', '\t');
        bool hex = t.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        var digits = hex ? t.AsSpan(2) : t.AsSpan();
        if (digits.IsEmpty || digits.ContainsAnyExcept(hex ? "0123456789abcdefABCDEF" : "0123456789"))
        {
            return NumberFault.Invalid;
        }

        var number = hex
            ? BigInteger.Parse("0" + digits.ToString(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
            : BigInteger.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        if (number > ulong.MaxValue)
        {
            return NumberFault.OutOfRange;
        }

        value = (ulong)number;
        return NumberFault.None;
    }

    private static NumberFault ParsePrefix(string text, out ulong value, out int used)
    {
        value = 0;
        int at = 0;
        while (at < text.Length && char.IsWhiteSpace(text[at]))
        {
            at++;
        }

        used = at;
        if (at < text.Length && text[at] == '+')
        {
            at++;
        }

        bool hex = at + 2 < text.Length && text[at] == '0' && (text[at + 1] | 32) == 'x' && char.IsAsciiHexDigit(text[at + 2]);
        return hex ? ParseHex(text, at + 2, out value, out used) : ParseDecimal(text, at, out value, out used);
    }

    private static NumberFault ParseHex(string text, int at, out ulong value, out int used)
    {
        int end = at;
        while (end < text.Length && char.IsAsciiHexDigit(text[end]))
        {
            end++;
        }

        used = end;
        var digits = text.AsSpan(at, end - at).TrimStart('0');
        value = 0;
        return digits.Length > 16
            ? NumberFault.OutOfRange
            : digits.IsEmpty || ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
                ? NumberFault.None : NumberFault.Invalid;
    }

    private static NumberFault ParseDecimal(string text, int at, out ulong value, out int used)
    {
        value = 0;
        used = at;
        int end = Digits(text, at);
        int fraction = end;
        if (end < text.Length && text[end] == '.')
        {
            fraction = Digits(text, end + 1);
        }

        int digits = end - at + Math.Max(0, fraction - end - 1);
        if (digits == 0 && (fraction == end || end == at))
        {
            return NumberFault.Invalid;
        }

        int shift = fraction < text.Length ? 10 * Suffixes.IndexOf((char)(text[fraction] | 32), StringComparison.Ordinal) : -10;
        used = fraction + (shift >= 0 ? 1 : 0);
        if (fraction > end + 1 && shift <= 0 && text.AsSpan(end + 1, fraction - end - 1).ContainsAnyExcept('0'))
        {
            return NumberFault.Invalid;
        }

        var whole = BigInteger.Parse("0" + text[at..end], CultureInfo.InvariantCulture) << Math.Max(0, shift);
        if (fraction > end + 1)
        {
            var part = BigInteger.Parse(text[(end + 1)..fraction], CultureInfo.InvariantCulture) << Math.Max(0, shift);
            var scale = BigInteger.Pow(10, fraction - end - 1);
            whole += (part + (scale / 2)) / scale;
        }

        if (whole > ulong.MaxValue)
        {
            return NumberFault.OutOfRange;
        }

        value = (ulong)whole;
        return NumberFault.None;
    }

    private static int Digits(string text, int at)
    {
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }

        return at;
    }
}
