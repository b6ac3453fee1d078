using System.Globalization;
using Paddock.Images.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>Numbers as the view shows them: short, and aligned by their unit.</summary>
internal static class Human
{
    /// <summary>A rate of bytes: <c>12.3 MiB/s</c>.</summary>
    public static string Rate(double bytesPerSecond)
    {
        string[] units = ["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"];
        int unit = 0;
        while (bytesPerSecond >= 1024 && unit < units.Length - 1)
        {
            bytesPerSecond /= 1024;
            unit++;
        }

        return bytesPerSecond.ToString(unit == 0 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    /// <summary>A count: <c>950</c>, <c>12.3k</c>, <c>4.5M</c>.</summary>
    public static string Count(double value) => value switch
    {
        < 10_000 => value.ToString("0", CultureInfo.InvariantCulture),
        < 1e7 => (value / 1e3).ToString("0.0", CultureInfo.InvariantCulture) + "k",
        _ => (value / 1e6).ToString("0.0", CultureInfo.InvariantCulture) + "M",
    };

    /// <summary>A duration: <c>97us</c>, <c>1.2ms</c>, <c>3.4s</c>; <c>-</c> if unknown.</summary>
    public static string Microseconds(double? value) => value switch
    {
        null => "-",
        < 1000 => value.Value.ToString("0", CultureInfo.InvariantCulture) + "us",
        < 1e6 => (value.Value / 1e3).ToString("0.0", CultureInfo.InvariantCulture) + "ms",
        _ => (value.Value / 1e6).ToString("0.0", CultureInfo.InvariantCulture) + "s",
    };

    /// <summary>A share: <c>12.3%</c>.</summary>
    public static string Percent(long part, long whole)
        => (whole == 0 ? 0 : 100.0 * part / whole).ToString("0.0", CultureInfo.InvariantCulture) + "%";

    /// <summary>A part of a size: <c>12 MiB of 64 MiB (18.8%)</c>.</summary>
    public static string Of(long part, long whole) => $"{SizeText.Human(part)} of {SizeText.Human(whole)} ({Percent(part, whole)})";

    /// <summary>A limit: <c>5 of 14</c>.</summary>
    public static string Limit(int used, uint limit)
        => limit == 0 ? used.ToString(CultureInfo.InvariantCulture) : string.Create(CultureInfo.InvariantCulture, $"{used} of {limit}");

    /// <summary>A bar.</summary>
    /// <param name="share">0 to 1.</param>
    /// <param name="width">Its width with the brackets.</param>
    /// <param name="blocks">Whether block characters may be used.</param>
    public static string Bar(double share, int width, bool blocks)
    {
        int room = Math.Max(0, width - 2);
        double filled = Math.Clamp(share, 0, 1) * room;
        int whole = (int)filled;
        string parts = blocks ? "▏▎▍▌▋▊▉" : "";
        int rest = (int)((filled - whole) * 8);
        string bar = new string(blocks ? '█' : '#', whole) + (rest > 0 && parts.Length > 0 ? parts[rest - 1].ToString() : "");
        return "[" + bar.PadRight(room, blocks ? ' ' : '.') + "]";
    }
}
