using Paddock.Block;
using Paddock.Images.Filters;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Images;

/// <summary>Which backing files and external data files an image may name.</summary>
public enum BackingPolicy
{
    /// <summary>
    /// Whatever the user may open: other directories, <c>json:</c> names, remote disks. A data file's name is a path, relative to the
    /// working directory of the process.
    /// </summary>
    Any,

    /// <summary>
    /// Files in the image's own directory; for an image in RBD, images in its pool and namespace, as the same user. A data file's name is
    /// relative to the directory.
    /// </summary>
    SameDirectory,

    /// <summary>No backing files and no data files.</summary>
    None,
}

/// <summary>An image is among its own backing files.</summary>
internal sealed class ChainLoopException(string message) : BlockException(BlockError.InvalidArgument, message);

/// <summary>One image with its backing files while they are opened: what they may name, and how much they may take together.</summary>
/// <param name="policy">Which backing files they may name.</param>
/// <param name="option">Name of the option that sets the policy, for messages.</param>
/// <param name="acceptsOwnPath">
/// Whether a name may be the absolute path of the image's own directory with a file in it, as scripts for qemu-nbd write it.
/// </param>
internal sealed class ImageChain(BackingPolicy policy, string option = "--backing", bool acceptsOwnPath = false)
{
    /// <summary>Most images over each other.</summary>
    public const int MaxDepth = 64;

    /// <summary>
    /// Most bytes of L1, refcount and snapshot tables of all images together: the L1 and refcount tables of one image may have 40 MiB.
    /// </summary>
    public const long MaxTableBytes = 128 << 20;

    /// <summary>
    /// Memory for cached L2 tables of the first image; the ones below get less, and together not more than 6 times as much.
    /// </summary>
    private const long L2CacheBytes = 32 << 20, MinL2CacheBytes = 1 << 20;

    /// <summary>Most nodes of one image with everything below it.</summary>
    public const int MaxNodes = 1024;

    private HashSet<string> _files = [];
    private FileFacts? _current;
    private RbdTarget? _currentInRbd;
    private NodeCount _nodes = new();
    private Dictionary<string, ThrottleGroup> _groups = [];
    private HashSet<string> _configurations = [];

    /// <summary>What the tables may take.</summary>
    public TableBudget Tables { get; private init; } = new(MaxTableBytes);

    /// <summary>Parses the value of <c>--backing</c>.</summary>
    /// <exception cref="ToolException">There is no such policy.</exception>
    public static BackingPolicy ParsePolicy(string text) => text switch
    {
        "any" => BackingPolicy.Any,
        "same-directory" => BackingPolicy.SameDirectory,
        "none" => BackingPolicy.None,
        _ => throw new ToolException($"backing '{text}': expected none, same-directory or any"),
    };

    /// <summary>Memory for cached L2 tables of the image that has so many above it.</summary>
    public static long L2CacheOf(int depth) => Math.Max(L2CacheBytes / (depth + 1), MinL2CacheBytes);

    /// <summary>Refuses an image that has too many above it.</summary>
    public static void CheckDepth(int depth)
    {
        if (depth >= MaxDepth)
        {
            throw new BlockException(BlockError.InvalidArgument, $"a chain of more than {MaxDepth} images");
        }
    }

    /// <summary>The next image of the chain begins.</summary>
    public void Begin() => (_current, _currentInRbd) = (null, null);

    /// <summary>The chain as it is now, for one of several images that lie side by side on it: none of them is below another.</summary>
    public ImageChain Branch()
        => new(policy, option, acceptsOwnPath)
        {
            Tables = Tables,
            _files = [.. _files],
            _current = _current,
            _currentInRbd = _currentInRbd,
            _nodes = _nodes,
            _groups = _groups,
            _configurations = _configurations,
        };

    /// <summary>Notes a configuration file that the user named, or rejects one that an image names and the user did not.</summary>
    /// <param name="path">The file.</param>
    /// <param name="isStored">Whether an image names it.</param>
    /// <returns>Whether it may be used.</returns>
    public bool AdmitConfiguration(string path, bool isStored)
        => isStored ? _configurations.Contains(path) : _configurations.Add(path) || true;

    /// <summary>The throttle group with an id: the same for all nodes.</summary>
    /// <exception cref="ToolException">No object has the id.</exception>
    public ThrottleGroup GroupOf(string id, IEnumerable<string> objects)
        => _groups.TryGetValue(id, out var group) ? group : _groups[id] = ThrottleGroups.Find(objects, id);

    /// <summary>Takes one more node in.</summary>
    /// <exception cref="BlockException">There are too many.</exception>
    public void CountNode()
    {
        if (++_nodes.Value > MaxNodes)
        {
            throw new BlockException(BlockError.InvalidArgument, $"an image with more than {MaxNodes} nodes below it");
        }
    }

    /// <summary>Takes in a file that the user named: one named twice is no loop.</summary>
    public void EnterTyped(FileFacts file)
    {
        _files.Add(file.Identity);
        _current = file;
    }

    /// <summary>The image that begins is in RBD.</summary>
    public void Enter(RbdTarget target) => _currentInRbd = target;

    /// <summary>Takes an image's file in.</summary>
    /// <exception cref="BlockException">It is in the chain already.</exception>
    public void Enter(FileFacts file)
    {
        if (!_files.Add(file.Identity))
        {
            throw new ChainLoopException($"Backing file '{file.RealPath}' creates an infinite loop.");
        }

        _current = file;
    }

    /// <summary>Refuses a backing file by its name, as stored in the current image.</summary>
    /// <returns>What decides by the file that the name leads to.</returns>
    /// <exception cref="BlockException">The policy forbids it.</exception>
    public Action<FileFacts> Admit(string name, string? format)
    {
        if (policy == BackingPolicy.Any)
        {
            return file => EnterStored(file, name);
        }

        if (policy == BackingPolicy.SameDirectory && format is (null or FormatProbe.Raw or FormatProbe.Qcow2) && IsInSamePool(name))
        {
            return static _ => { };
        }

        // a path is refused even if it leads to the same directory: such a name means that directory, not the image's
        string bare = name.StartsWith("./", StringComparison.Ordinal) ? name[2..] : name;
        bare = WithoutOwnDirectory(bare);
        if (policy == BackingPolicy.None || _current?.Directory is not { } folder || bare.AsSpan().ContainsAny('/', ':')
            || format is not (null or "raw" or "qcow2"))
        {
            throw Forbidden("backing file", name);
        }

        return file =>
        {
            _ = file.Directory == folder ? true : throw Forbidden("backing file", name);
            EnterStored(file, name);
        };
    }

    /// <summary>Refuses an external data file by its name, as stored in the current image.</summary>
    /// <returns>What decides by the file that the name leads to.</returns>
    /// <exception cref="BlockException">The policy forbids it.</exception>
    public Action<FileFacts> AdmitDataFile(string name)
    {
        string? folder = _current?.Directory;
        if (policy != BackingPolicy.Any && (policy == BackingPolicy.None || folder is null
            || WithoutOwnDirectory(name).Contains('/', StringComparison.Ordinal)))
        {
            throw Forbidden("data file", name);
        }

        return file =>
        {
            _ = policy == BackingPolicy.Any || file.Directory == folder ? true : throw Forbidden("data file", name);
            RequireStored(file, name, "a data file");
            if (_files.Contains(file.Identity))
            {
                throw new BlockException(BlockError.InvalidArgument, $"Data file '{file.RealPath}' is an image of the chain");
            }
        };
    }

    /// <summary>
    /// The path of an external data file. QEMU opens the name as it is; where only the image's directory is allowed, it is looked for
    /// there.
    /// </summary>
    public string PathOfDataFile(string name, string image)
        => policy == BackingPolicy.Any || name.StartsWith('/') ? name : image[..(image.LastIndexOf('/') + 1)] + name;

    // the cluster may be another one if the configuration is; options of Ceph are rejected when the name is opened
    private bool IsInSamePool(string name)
    {
        try
        {
            return _currentInRbd is { } own && RbdTarget.IsName(name) && RbdTarget.Parse(name) is var other
                && (own.Pool, own.Namespace, own.User, own.ConfigurationFile)
                    == (other.Pool, other.Namespace, other.User, other.ConfigurationFile);
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private string WithoutOwnDirectory(string name)
        => acceptsOwnPath && _current is { } file && file.Directory.TrimEnd('/') + "/" is var own
            && name.StartsWith(own, StringComparison.Ordinal) ? name[own.Length..] : name;

    private static void RequireStored(FileFacts file, string name, string what)
        => _ = file.IsStored ? true : throw new BlockException(
            BlockError.InvalidArgument, $"'{name}' is neither a regular file nor a block device, which {what} must be");

    private void EnterStored(FileFacts file, string name)
    {
        RequireStored(file, name, "a backing file");
        Enter(file);
    }

    private BlockException Forbidden(string what, string name)
    {
        string image = _current is { } file ? $"'{file.RealPath}'" : _currentInRbd is { } target ? $"'{target}'" : "the image";
        string allowed = _currentInRbd is null ? "a file in the image's own directory" : "an image in the same pool, with the same user";
        return new(
            BlockError.NotPermitted,
            policy == BackingPolicy.None ? $"{image} names the {what} '{name}': {what}s are not allowed here (see {option})"
                : $"{image} names the {what} '{name}', which is not {allowed} ({option} any allows it)");
    }

    private sealed class NodeCount
    {
        public int Value { get; set; }
    }
}
