using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>
/// Names of nodes: a plain one if it opens the same node, else a <c>json:</c> name with the options that change what the disk holds.
/// </summary>
internal static class NodeNames
{
    // QEMU cuts longer names off, with dots at the end
    private const int MaxName = 4095;

    /// <summary>Sets the name and the full options of a node whose children are open.</summary>
    /// <param name="node">The node.</param>
    /// <param name="driver">Its driver.</param>
    /// <param name="given">The options that it was opened with.</param>
    public static void Set(ImageNode node, NodeDriver driver, QDict given)
    {
        var full = new QDict().With("driver", driver.Name);
        bool isChanged = false;
        if (given["filename"] is { } filename)
        {
            full["filename"] = filename;
        }

        foreach (string option in driver.StrongOptions)
        {
            isChanged |= Copy(given, full, option);
        }

        isChanged |= node.IsBackingReplaced;
        AddChildren(node, full);
        node.FullOptions = full;
        node.PlainName = driver.PlainName(node, isChanged);
        node.Filename = node.PlainName ?? Json(full);
    }

    private static bool Copy(QDict given, QDict full, string option)
    {
        if (option[^1] != '.')
        {
            if (!given.Contains(option))
            {
                return false;
            }

            full[option] = given[option];
            return true;
        }

        bool found = false;
        foreach (var (key, value) in given.InOrder.Where(o => o.Key.StartsWith(option, StringComparison.Ordinal)))
        {
            full[key] = value;
            found = true;
        }

        return found;
    }

    private static void AddChildren(ImageNode node, QDict full)
    {
        List<object?> numbered = [];
        foreach (var (name, child) in node.Children)
        {
            int dot = name.IndexOf('.', StringComparison.Ordinal);
            if (dot > 0)
            {
                numbered.Add(child.FullOptions);
                full[name[..dot]] = numbered;
            }
            else if (name != ImageNode.BackingKey || node.IsBackingReplaced)
            {
                full[name] = child.FullOptions;
            }
        }

        if (node is { IsBackingReplaced: true, Backing: null })
        {
            full[ImageNode.BackingKey] = null;
        }
    }

    private static string Json(QDict full)
    {
        string name = "json:" + JsonText.Compact(full);
        return name.Length <= MaxName ? name : name[..(MaxName - 3)] + "...";
    }
}
