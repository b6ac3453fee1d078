using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>A driver of the block graph: makes a node from options and the nodes below it.</summary>
/// <param name="name">Its name, the value of the option <c>driver</c>.</param>
/// <param name="kind">What its nodes are to the node above.</param>
internal abstract class NodeDriver(string name, NodeKind kind)
{
    /// <summary>The value of the option <c>driver</c>.</summary>
    public string Name => name;

    /// <summary>What its nodes are to the node above.</summary>
    public NodeKind Kind => kind;

    /// <summary>Options that change what the disk holds, so that a plain name does not say all; a final '.' means a prefix.</summary>
    public virtual IReadOnlyList<string> StrongOptions => [];

    /// <summary>Turns a file name of this driver into options.</summary>
    public virtual void ParseName(string filename, QDict options) => options["filename"] = filename;

    /// <summary>Opens a node. Options that it leaves in the list are unknown and rejected by the caller.</summary>
    public abstract ValueTask<ImageNode> OpenAsync(NodeOpening opening);

    /// <summary>The plain name that opens the same node; null if absent.</summary>
    /// <param name="node">An open node of this driver with its options and children.</param>
    /// <param name="isChanged">Whether options or replaced children make it differ from what the name of its file opens.</param>
    public virtual string? PlainName(ImageNode node, bool isChanged)
        => kind == NodeKind.Format && !isChanged && node.Primary is { IsProtocol: true } file ? file.PlainName : null;
}

/// <summary>Kinds of drivers.</summary>
internal enum NodeKind
{
    /// <summary>Supplies bytes: opened by a file name.</summary>
    Protocol,

    /// <summary>Supplies a disk from the bytes of its file; never guessed for the nodes above it.</summary>
    Format,

    /// <summary>Passes the requests of a disk on: chosen by its name only.</summary>
    Filter,
}
