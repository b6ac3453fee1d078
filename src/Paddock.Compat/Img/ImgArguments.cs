using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Compat.Img;

/// <summary>A command's options as given, the last value of each, and its operands.</summary>
public sealed class ImgArguments
{
    /// <summary>The options about the image that is opened.</summary>
    public const string Input = "format image-opts object";

    private static readonly OptionSpec[] Common =
    [
        new('q', "quiet", false), new('f', "format", true), new('\0', "image-opts", false), new('U', "force-share", false),
        new('\0', "object", true), new('\0', "output", true), new('p', "progress", false),
    ];

    private readonly Dictionary<string, List<string>> _given = [];
    private readonly List<ParsedOption> _inOrder = [];

    /// <summary>Parses what follows the command's name.</summary>
    /// <param name="args">The words.</param>
    /// <param name="common">The long names of the common options that this command takes, with spaces between.</param>
    /// <param name="own">Its own options.</param>
    public ImgArguments(string[] args, string common, params OptionSpec[] own)
    {
        string[] names = common.Split(' ');
        var options = new GetOpt(args, Common.Where(c => names.Contains(c.Name)).Concat(own));
        while (options.TryNext(out var option))
        {
            if (!_given.TryGetValue(option.Key, out var values))
            {
                _given[option.Key] = values = [];
            }

            values.Add(option.Value);
            _inOrder.Add(option);
        }

        Operands = options.Operands;
        if (this["output"] is { } output && output is not ("human" or "json"))
        {
            throw new UsageException($"--output expects 'human' or 'json' not '{output}'");
        }

        UserObjects.Check(All("object"));
        ThrottleGroups.Check(All("object"));
        if (Has("image-opts") && Has("f"))
        {
            throw new ToolException("--image-opts and --format are mutually exclusive");
        }
    }

    /// <summary>The words that are no options.</summary>
    public IReadOnlyList<string> Operands { get; }

    /// <summary>Whether lines for programs are asked for.</summary>
    public bool Json => this["output"] == "json";

    /// <summary>All options, in the order in which they were given.</summary>
    public IReadOnlyList<ParsedOption> InOrder => _inOrder;

    /// <summary>The last value of an option; null when it was not given.</summary>
    public string? this[string key] => _given.TryGetValue(key, out var values) ? values[^1] : null;

    /// <summary>Whether the option was given.</summary>
    public bool Has(string key) => _given.ContainsKey(key);

    /// <summary>Every value of an option, in order.</summary>
    public IReadOnlyList<string> All(string key) => _given.TryGetValue(key, out var values) ? values : [];

    /// <summary>The internal snapshot that <c>-l</c> names; null: none.</summary>
    /// <param name="program">What messages begin with.</param>
    /// <exception cref="ToolException">An option that there is not.</exception>
    internal SnapshotChoice? Snapshot(string program) => this["l"] is { } text ? SnapshotParameter.Parse(text, program) : null;

    /// <summary>The settings to open the operand with.</summary>
    internal OpenSettings Settings(bool readOnly = true)
        => new() { ReadOnly = readOnly, Format = this["f"], ForceShare = Has("U"), Cache = this["t"]
            ?? this["T"], Objects = All("object") };
}
