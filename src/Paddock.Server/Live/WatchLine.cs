using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Server.Live;

/// <summary>The command <c>watch</c> of the control socket.</summary>
/// <param name="Interval">Milliseconds between two frames.</param>
/// <param name="Image">Name of the disk to watch; null: all disks.</param>
public sealed record WatchLine(int Interval, string? Image)
{
    /// <summary>Name of the command.</summary>
    public const string Command = "watch";

    /// <summary>Shortest and longest interval, in milliseconds.</summary>
    public const int MinInterval = 100, MaxInterval = 10_000;

    private const int DefaultInterval = 1000;

    private const string IntervalKey = "interval", ImageKey = "image";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal) { [Command] = [IntervalKey, ImageKey] };

    /// <summary>Whether a line is a watch command.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Parses a line and checks its syntax, but not whether the image exists.</summary>
    /// <exception cref="ToolException">Invalid syntax; the message gives the reason.</exception>
    public static WatchLine Parse(string text)
    {
        var line = ControlLine.Parse(text, Syntax);
        return new WatchLine(
            (int)line.Number(IntervalKey, DefaultInterval, MinInterval, MaxInterval),
            line[ImageKey]);
    }

    /// <summary>The line as sent; special characters in the name are escaped as in a URI.</summary>
    public string Format() => $"{Command} {IntervalKey}={Interval}{(Image is null ? "" : " " + ControlLine.Pair(ImageKey, Image))}";
}
