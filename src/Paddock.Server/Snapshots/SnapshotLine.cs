using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Server.Snapshots;

/// <summary>Action of a snapshot command.</summary>
public enum SnapshotAction
{
    /// <summary>Lists the snapshots.</summary>
    List,

    /// <summary>Takes a snapshot.</summary>
    Create,

    /// <summary>Deletes a snapshot.</summary>
    Delete,

    /// <summary>Applies a snapshot; only for an image that no server has open.</summary>
    Apply,
}

/// <summary>A snapshot command of the control socket: <c>snapshot action=create name=NAME image=NAME</c>.</summary>
/// <param name="Action">Action.</param>
/// <param name="Name">Name of the snapshot, or its ID; null for the list.</param>
/// <param name="Image">Name or path of the image; null: the only one.</param>
public sealed record SnapshotLine(SnapshotAction Action, string? Name, string? Image)
{
    /// <summary>Name of the command.</summary>
    public const string Command = "snapshot";

    private const string ActionKey = "action", NameKey = "name", ImageKey = "image";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal)
    {
        [Command] = [ActionKey, NameKey, ImageKey],
    };

    /// <summary>Whether a line is a snapshot command.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Parses a line and checks its syntax, but not whether the image exists.</summary>
    /// <exception cref="ToolException">Invalid syntax; the message gives the reason.</exception>
    public static SnapshotLine Parse(string text)
    {
        var line = ControlLine.Parse(text, Syntax);
        var action = line[ActionKey] switch
        {
            "create" => SnapshotAction.Create,
            "delete" => SnapshotAction.Delete,
            "list" => SnapshotAction.List,
            var other => throw new ToolException($"{ActionKey}={other}: expected create, delete or list"),
        };
        string? name = line[NameKey];
        return (name is null) != (action == SnapshotAction.List)
            ? throw new ToolException(name is null ? $"the snapshot's name is missing: expected {NameKey}=NAME" : "list takes no name")
            : new SnapshotLine(action, name, line[ImageKey]);
    }

    /// <summary>The line as sent; special characters are escaped as in a URI.</summary>
    public string Format()
        => $"{Command} {ActionKey}={Action.ToString().ToLowerInvariant()}"
            + (Name is null ? "" : " " + ControlLine.Pair(NameKey, Name))
            + (Image is null ? "" : " " + ControlLine.Pair(ImageKey, Image));
}
