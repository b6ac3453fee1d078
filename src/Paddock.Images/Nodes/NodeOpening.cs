using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>One node while it is opened: its options, and how its driver opens the nodes below it.</summary>
internal sealed class NodeOpening(NodeOpener opener, QDict options, OpenSettings settings, int depth)
{
    private readonly List<NodeChild> _children = [];

    /// <summary>Options of the node that its driver has not taken yet.</summary>
    public QDict Options => options;

    /// <summary>How the node is opened; its common options are applied.</summary>
    public OpenSettings Settings => settings;

    /// <summary>Nodes above this one.</summary>
    public int Depth => depth;

    /// <summary>Takes warnings.</summary>
    public IOpenMessages Messages => opener.Messages;

    /// <summary>Opens nodes below.</summary>
    public NodeOpener Opener => opener;

    /// <summary>Whether the driver was found by probing.</summary>
    public bool IsProbed { get; set; }

    /// <summary>Name of the image as the user gave it; null if options alone describe it.</summary>
    public string? Name { get; init; }

    /// <summary>Open nodes below, in the order in which they were opened.</summary>
    public IReadOnlyList<NodeChild> Children => _children;

    /// <summary>The node that supplies the bytes, or the filtered disk, if one is open.</summary>
    public ImageNode? File => _children.Find(static c => c.Name == "file").Node;

    /// <summary>Returns the node below; one must be named.</summary>
    /// <exception cref="ToolException">None is named.</exception>
    public ImageNode RequireFile() => File ?? throw Missing("file");

    /// <summary>Adds a node below that is open.</summary>
    public void Add(string key, ImageNode node) => _children.Add(new NodeChild(key, node));

    /// <summary>Opens a node below by a name or by the options that begin with its key.</summary>
    /// <param name="name">File name; null if the options alone describe it.</param>
    /// <param name="key">Key of the child.</param>
    /// <param name="isProtocol">Whether it supplies bytes unless its options say otherwise; else its format is probed.</param>
    /// <param name="own">Its settings; null if it inherits those of the node above.</param>
    /// <exception cref="ToolException">It is not named, or cannot be opened.</exception>
    public async ValueTask<ImageNode> OpenChildAsync(string? name, string key, bool isProtocol, OpenSettings? own = null)
        => await TryOpenChildAsync(name, key, isProtocol, own) ?? throw Missing(key);

    /// <summary>Opens a node below if a name or options describe one.</summary>
    public async ValueTask<ImageNode?> TryOpenChildAsync(string? name, string key, bool isProtocol, OpenSettings? own = null)
    {
        NodeOpener.RefuseReference(options, key);
        var below = options.TakePrefix(key);
        if (name is null && below.Count == 0)
        {
            return null;
        }

        var node = await opener.OpenAsync(name, below, own ?? settings.ForChild(), depth + 1, isProtocol);
        Add(key, node);
        return node;
    }

    /// <summary>Closes the nodes below, the last first, after the node itself could not be opened.</summary>
    public async ValueTask AbandonAsync()
    {
        for (int i = _children.Count - 1; i >= 0; i--)
        {
            await _children[i].Node.DisposeAsync();
        }
    }

    private static ToolException Missing(string key) => new($"A block device must be specified for \"{key}\"");
}
