using Paddock.Block;
using Paddock.Tools.Serve.Faults;

namespace Paddock.Tools.Serve.Resize;

/// <summary>One line of the control socket that changes a size: <c>resize size=+1G image=NAME shrink=yes preallocation=off</c>.</summary>
/// <param name="Size">The new size.</param>
/// <param name="Image">Which image, by its name or its path; null: the only one.</param>
/// <param name="Shrink">Whether it may become smaller.</param>
/// <param name="Preallocation">What is reserved for the new part.</param>
public sealed record ResizeLine(string Size, string? Image, bool Shrink, Preallocation Preallocation)
{
    /// <summary>The word that such a line begins with.</summary>
    public const string Command = "resize";

    private const string SizeKey = "size", ImageKey = "image", ShrinkKey = "shrink", PreallocationKey = "preallocation";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal)
    {
        [Command] = [SizeKey, ImageKey, ShrinkKey, PreallocationKey],
    };

    /// <summary>Whether a line is of this kind.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Reads a line, and holds what it says against what can be said; whether there is such an image is another question.</summary>
    /// <exception cref="ToolException">It cannot be read; the message says why.</exception>
    public static ResizeLine Parse(string text)
    {
        var line = ControlLine.Parse(text, Syntax);
        string size = line[SizeKey] ?? throw new ToolException($"say the new size: {SizeKey}=SIZE, {SizeKey}=+SIZE or {SizeKey}=-SIZE");
        SizeChange.Parse(size);
        bool shrink = line[ShrinkKey] switch
        {
            null or "no" => false,
            "yes" => true,
            var other => throw new ToolException($"{ShrinkKey}={other}: say yes or no"),
        };
        var preallocation = PreallocationName.Parse(line[PreallocationKey])
            ?? throw new ToolException($"Invalid preallocation mode '{line[PreallocationKey]}'");
        return new ResizeLine(size, line[ImageKey] is { } image ? Uri.UnescapeDataString(image) : null, shrink, preallocation);
    }

    /// <summary>The line as it is sent: what a name may not have in a line is escaped as in a URI.</summary>
    public string Format()
        => $"{Command} {SizeKey}={Size}{(Image is null ? "" : $" {ImageKey}={Uri.EscapeDataString(Image)}")}{(Shrink ? $" {ShrinkKey}=yes" : "")}"
            + (Preallocation == Preallocation.Off ? "" : $" {PreallocationKey}={Preallocation.ToString().ToLowerInvariant()}");
}
