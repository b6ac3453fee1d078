using Paddock.Images;
using Paddock.Rbd;
using Paddock.Server.Control;

namespace Paddock.Server.Backups;

/// <summary>A backup command of the control socket: <c>backup image=NAME target=PATH since=BITMAP full=yes</c>.</summary>
/// <param name="Image">Name or path of the image; null: the only one.</param>
/// <param name="Target">Absolute path of the new file, or a name in RBD.</param>
/// <param name="Since">The bitmap with the changes since the last backup; null: none.</param>
/// <param name="IsFull">Whether everything is copied.</param>
public sealed record BackupLine(string? Image, string Target, string? Since, bool IsFull)
{
    /// <summary>Name of the command.</summary>
    public const string Command = "backup";

    private const string ImageKey = "image", TargetKey = "target", SinceKey = "since", FullKey = "full";

    private static readonly Dictionary<string, string[]> Syntax = new(StringComparer.Ordinal)
    {
        [Command] = [ImageKey, TargetKey, SinceKey, FullKey],
    };

    /// <summary>Whether a line is a backup command.</summary>
    public static bool Owns(string line) => ControlLine.CommandOf(line) == Command;

    /// <summary>Parses a line and checks its syntax, but not whether the image exists.</summary>
    /// <exception cref="ToolException">Invalid syntax; the message gives the reason.</exception>
    public static BackupLine Parse(string text)
    {
        var line = ControlLine.Parse(text, Syntax);
        string target = line[TargetKey] ?? throw new ToolException($"the new file is missing: expected {TargetKey}=PATH");
        if (!target.StartsWith('/') && !RbdTarget.IsName(target))
        {
            throw new ToolException($"{TargetKey}={target}: expected an absolute path, or rbd:POOL/IMAGE");
        }

        bool full = line[FullKey] switch
        {
            null or "no" => false,
            "yes" => true,
            var other => throw new ToolException($"{FullKey}={other}: expected yes or no"),
        };
        return new BackupLine(line[ImageKey], target, line[SinceKey], full);
    }

    /// <summary>The line as sent; special characters are escaped as in a URI.</summary>
    public string Format()
        => $"{Command} {ControlLine.Pair(TargetKey, Target)}{(Image is null ? "" : " " + ControlLine.Pair(ImageKey, Image))}"
            + $"{(Since is null ? "" : " " + ControlLine.Pair(SinceKey, Since))}{(IsFull ? $" {FullKey}=yes" : "")}";
}
