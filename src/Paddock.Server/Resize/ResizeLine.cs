using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Control;

namespace Paddock.Server.Resize;

/// <summary>A resize command of the control socket: <c>resize size=+1G image=NAME shrink=yes preallocation=off</c>.</summary>
/// <param name="Size">The new size.</param>
/// <param name="Image">Name or path of the image; null: the only one.</param>
/// <param name="Shrink">Whether shrinking is allowed.</param>
/// <param name="Preallocation">Preallocation of the new space.</param>
public sealed record ResizeLine(string Size, string? Image, bool Shrink, Preallocation Preallocation)
{
    /// <summary>Name of the command.</summary>
    public const string Command = "resize";

    private const string SizeKey = "size", ImageKey = "image", ShrinkKey = "shrink", PreallocationKey = "preallocation";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal)
    {
        [Command] = [SizeKey, ImageKey, ShrinkKey, PreallocationKey],
    };

    /// <summary>Whether a line is a resize command.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Parses a line and checks its syntax, but not whether the image exists.</summary>
    /// <exception cref="ToolException">Invalid syntax; the message gives the reason.</exception>
    public static ResizeLine Parse(string text)
    {
        var line = ControlLine.Parse(text, Syntax);
        string size = line[SizeKey]
            ?? throw new ToolException($"the new size is missing: expected {SizeKey}=SIZE, {SizeKey}=+SIZE or {SizeKey}=-SIZE");
        SizeChange.Parse(size);
        bool shrink = line[ShrinkKey] switch
        {
            null or "no" => false,
            "yes" => true,
            var other => throw new ToolException($"{ShrinkKey}={other}: expected yes or no"),
        };
        var preallocation = PreallocationName.Parse(line[PreallocationKey])
            ?? throw new ToolException($"{PreallocationKey}={line[PreallocationKey]}: expected off, metadata, falloc or full");
        return new ResizeLine(size, line[ImageKey], shrink, preallocation);
    }

    /// <summary>The line as sent; special characters in the name are escaped as in a URI.</summary>
    public string Format()
        => $"{Command} "
            + $"{SizeKey}={Size}{(Image is null ? "" : " " + ControlLine.Pair(ImageKey, Image))}{(Shrink ? $" {ShrinkKey}=yes" : "")}"
            + (Preallocation == Preallocation.Off ? "" : $" {PreallocationKey}={Preallocation.ToString().ToLowerInvariant()}");
}
