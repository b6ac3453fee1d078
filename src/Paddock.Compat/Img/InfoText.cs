using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary>What <c>info</c> prints for people: a node, and the nodes below it, indented.</summary>
internal static class InfoText
{
    /// <summary>Prints a node that no other is above.</summary>
    public static void Print(ToolContext ctx, ImageNode node) => Print(ctx, node, "", 0);

    private static void Print(ToolContext ctx, ImageNode node, string path, int level)
    {
        void Line(string text) => ctx.Line(new string(' ', 4 * level) + text);

        long length = node.Device.Length;
        string disk = node.AllocatedBytes < 0 ? "unavailable" : InfoCommand.Human(node.AllocatedBytes);
        string size = $"{InfoCommand.Human(length)} ({length} bytes)";
        if (level > 0 && node.Children.Count == 0)
        {
            Line($"filename: {EscapedText.Escape(node.Filename)}");
            Line($"protocol type: {node.Driver}");
            Line($"file length: {size}");
            Line($"disk size: {disk}");
            if (node.ObjectSize > 0)
            {
                Line($"cluster_size: {node.ObjectSize}");
            }

            return;
        }

        Line($"image: {EscapedText.Escape(node.Filename)}");
        Line($"file format: {node.Driver}");
        Line($"virtual size: {size}");
        Line($"disk size: {disk}");
        if (node.Qcow2?.Info.Encryption is not null || node.Luks is not null)
        {
            Line("encrypted: yes");
        }

        if (node.Qcow2 is { } qcow2)
        {
            PrintQcow2(Line, node, qcow2.Info);
        }
        else if (node.ClusterSize > 0)
        {
            Line($"cluster_size: {node.ClusterSize}");
        }
        else if (node.Luks is { } luks)
        {
            Line("Format specific information:");
            foreach (var (key, value) in LuksInfo.Describe(luks.Volume).InOrder)
            {
                Dump(Line, key.Replace('-', ' '), value, 1);
            }
        }

        foreach (var (name, child) in node.Children.Reverse())
        {
            Line($"Child node '{path}/{name}':");
            Print(ctx, child, $"{path}/{name}", level + 1);
        }
    }

    private static void PrintQcow2(Action<string> line, ImageNode node, Qcow2ImageInfo info)
    {
        if (info.Dirty)
        {
            line("cleanly shut down: no");
        }

        line($"cluster_size: {info.ClusterSize}");
        if (info.BackingFile is { } backing)
        {
            string? full = BackingName.TryResolve(backing, node.Storage.Name);
            string actual = full is null ? " (cannot determine actual path)" : full == backing ? "" : $" (actual path: {full})";
            line(EscapedText.Escape($"backing file: {backing}{actual}"));
            if (info.BackingFormat is { } format)
            {
                line($"backing file format: {EscapedText.Escape(format)}");
            }
        }

        foreach (string snapshot in SnapshotList.Lines(info.Snapshots))
        {
            line(snapshot);
        }

        line("Format specific information:");
        foreach (var (key, value) in InfoCommand.Specific(info))
        {
            Dump(line, key.Replace('-', ' '), value, 1);
        }
    }

    private static void Dump(Action<string> line, string key, object? value, int level)
    {
        var parts = value switch
        {
            QDict dict => dict.InOrder.Select(static e => (Key: e.Key.Replace('-', ' '), e.Value)),
            List<object?> list => list.Select(static (v, i) => (Key: $"[{i}]", Value: v)),
            _ => null,
        };
        line($"{new string(' ', 4 * level)}{key}:{(parts is null ? " " + EscapedText.Escape(Text(value) ?? "") : "")}");
        foreach (var (name, part) in parts ?? [])
        {
            Dump(line, name, part, level + 1);
        }
    }

    private static string? Text(object? value)
        => value is bool b ? (b ? "true" : "false") : Convert.ToString(value, CultureInfo.InvariantCulture);
}
