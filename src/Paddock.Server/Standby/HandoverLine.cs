using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Server.Standby;

/// <summary>A hand-over command of the control socket: <c>handover image=NAME</c>.</summary>
/// <param name="Image">Name or path of the image; null: all images that the server owns.</param>
public sealed record HandoverLine(string? Image)
{
    /// <summary>Name of the command.</summary>
    public const string Command = "handover";

    private const string ImageKey = "image";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal) { [Command] = [ImageKey] };

    /// <summary>Whether a line is a hand-over command.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Parses a line and checks its syntax, but not whether the image exists.</summary>
    /// <exception cref="ToolException">Invalid syntax; the message gives the reason.</exception>
    public static HandoverLine Parse(string text) => new(ControlLine.Parse(text, Syntax)[ImageKey]);

    /// <summary>The line as sent; special characters are escaped as in a URI.</summary>
    public string Format() => Command + (Image is null ? "" : " " + ControlLine.Pair(ImageKey, Image));
}
