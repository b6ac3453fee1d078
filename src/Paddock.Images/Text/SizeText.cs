using System.Globalization;

namespace Paddock.Images.Text;

/// <summary>Sizes as the native commands parse and print them.</summary>
internal static class SizeText
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>A size in the largest unit that keeps it at 1 or more, with at most two decimals.</summary>
    public static string Human(long bytes)
    {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return value.ToString("0.##", CultureInfo.InvariantCulture) + " " + Units[unit];
    }

    /// <summary>A size as an argument that <see cref="Parse"/> takes: a whole number with the largest suffix that allows it.</summary>
    public static string Argument(long bytes)
    {
        const string Suffixes = "kMGTPE";
        int unit = 0;
        while (bytes != 0 && bytes % 1024 == 0 && unit < Suffixes.Length)
        {
            bytes /= 1024;
            unit++;
        }

        return bytes.ToString(CultureInfo.InvariantCulture) + (unit == 0 ? "" : Suffixes[unit - 1]);
    }

    /// <summary>Parses a size with an optional suffix k, M, G, T, P or E, also written <c>MiB</c> as <see cref="Human"/> does.</summary>
    /// <exception cref="ToolException">Not a size, or above 2^63 - 1; the message begins with <paramref name="what"/>.</exception>
    public static long Parse(string what, string text)
    {
        var fault = SizeParser.TryParse(WithoutUnit(text), out ulong value);
        return fault == NumberFault.OutOfRange || (fault == NumberFault.None && value > long.MaxValue)
                ? throw new ToolException($"{what} '{text}': the limit is {long.MaxValue} bytes, which is just below 8E", NativeExit.Usage)
            : fault == NumberFault.None ? (long)value
            : throw new ToolException(
                $"{what} '{text}': expected bytes or a number with suffix k, M, G, T, P or E, such as 64M or 64MiB", NativeExit.Usage);
    }

    /// <summary>The size as QEMU's tools take it: <c>1G</c> for <c>1GiB</c> or <c>1 GiB</c>; other text as it is.</summary>
    public static string WithoutUnit(string text)
    {
        const string Prefixes = "kKMGTPE";
        if (!text.EndsWith("iB", StringComparison.Ordinal) || text.Length < 4 || !Prefixes.Contains(text[^3], StringComparison.Ordinal))
        {
            return text;
        }

        string number = text[..^3].TrimEnd(' ');
        return number.Length > 0 && char.IsAsciiDigit(number[^1]) ? number + text[^3] : text;
    }
}
