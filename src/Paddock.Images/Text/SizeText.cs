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

    /// <summary>Parses a size with an optional suffix k, M, G, T, P or E.</summary>
    /// <exception cref="ToolException">Not a size, or above 2^63 - 1; the message begins with <paramref name="what"/>.</exception>
    public static long Parse(string what, string text)
    {
        var fault = SizeParser.TryParse(text, out ulong value);
        return fault == NumberFault.OutOfRange || (fault == NumberFault.None && value > long.MaxValue)
                ? throw new ToolException($"{what} '{text}': the limit is {long.MaxValue} bytes", NativeExit.Usage)
            : fault == NumberFault.None ? (long)value
            : throw new ToolException(
                $"{what} '{text}': expected bytes or a number with suffix k, M, G, T, P or E, such as 64M", NativeExit.Usage);
    }
}
