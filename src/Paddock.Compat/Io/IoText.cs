using System.Globalization;
using System.Text;

namespace Paddock.Compat.Io;

/// <summary>The tool's way to print sizes, times, reports and bytes.</summary>
internal static class IoText
{
    private static readonly string[] Units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>A size with at most three decimals in the largest unit that gives at least one.</summary>
    public static string Size(double value)
    {
        int unit = 0;
        while (value >= 1024 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        string number = value.ToString("F3", CultureInfo.InvariantCulture);
        if (number.EndsWith(".000", StringComparison.Ordinal))
        {
            number = number[..^4];
        }

        return $"{number} {Units[unit]}";
    }

    /// <summary>The lines after a transfer.</summary>
    public static string Report(string verb, TimeSpan time, long offset, long count, long total, int operations, bool machine)
    {
        double seconds = Math.Max(time.TotalSeconds, 1e-9);
        string rate = (operations / seconds).ToString(machine ? "F3" : "F4", CultureInfo.InvariantCulture);
        if (machine)
        {
            string clock = string.Create(
                CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}.{time.Milliseconds / 10:00}");
            return string.Create(CultureInfo.InvariantCulture, $"{total},{operations},{clock},{total / seconds:F3},{rate}\n");
        }

        string plain = time.TotalHours >= 1
            ? string.Create(
                CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}.{time.Milliseconds / 10:00}")
            : time.TotalMinutes >= 1
                ? string.Create(CultureInfo.InvariantCulture, $"{time.Minutes:00}:{time.Seconds:00}.{time.Milliseconds / 10:00}")
                : string.Create(CultureInfo.InvariantCulture, $"{time.Seconds:00}.{time.Milliseconds / 10:00} sec");
        return $"{verb} {total}/{count} bytes at offset {offset}\n{Size(total)}, {operations} ops; {plain} ({Size(total / seconds)}/sec "
            + $"and {rate} ops/sec)\n";
    }

    /// <summary>Sixteen bytes a line, hexadecimal and as text.</summary>
    public static string Dump(ReadOnlySpan<byte> bytes, long offset)
    {
        var text = new StringBuilder();
        for (int at = 0; at < bytes.Length; at += 16)
        {
            var line = bytes.Slice(at, Math.Min(16, bytes.Length - at));
            text.Append(CultureInfo.InvariantCulture, $"{offset + at:x8}:  ");
            foreach (byte b in line)
            {
                text.Append(CultureInfo.InvariantCulture, $"{b:x2} ");
            }

            text.Append(' ');
            foreach (byte b in line)
            {
                text.Append(char.IsAsciiLetterOrDigit((char)b) ? (char)b : '.');
            }

            text.Append('\n');
        }

        return text.ToString();
    }
}
