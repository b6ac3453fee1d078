using System.Globalization;
using Paddock.Images;

namespace Paddock.Cli.Native;

/// <summary>The drives of one of several servers of a farm: consecutive numbers, as many for each server, or one more.</summary>
/// <param name="Number">Number of the server, from 1.</param>
/// <param name="Servers">Number of servers.</param>
internal sealed record FarmPart(int Number, int Servers)
{
    /// <summary>The only server.</summary>
    public static readonly FarmPart All = new(1, 1);

    /// <summary>Parses K/N.</summary>
    /// <exception cref="ToolException">It is malformed, or K is not from 1 to N.</exception>
    public static FarmPart Parse(string text)
    {
        string[] words = text.Split('/');
        return words.Length == 2 && Positive(words[0]) is { } number && Positive(words[1]) is { } servers && number <= servers
            ? new FarmPart(number, servers)
            : throw new ToolException($"--part '{text}': expected K/N, server K of N, such as 2/4", NativeExit.Usage);
    }

    /// <summary>Number of the first drive, from 1.</summary>
    /// <param name="count">Number of drives of all servers.</param>
    public int First(int count) => Before(Number - 1, count) + 1;

    /// <summary>Number of drives of this server.</summary>
    /// <param name="count">Number of drives of all servers.</param>
    public int Count(int count) => Before(Number, count) - Before(Number - 1, count);

    private int Before(int servers, int count) => (int)((long)count * servers / Servers);

    private static int? Positive(string text)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0 ? number : null;
}
