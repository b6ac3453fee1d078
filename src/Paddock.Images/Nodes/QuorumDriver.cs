using System.Globalization;
using Paddock.Block;
using Paddock.Images.Filters;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The driver quorum.</summary>
internal sealed class QuorumDriver() : NodeDriver("quorum", NodeKind.Format)
{
    private const string Threshold = "vote-threshold", Verify = "blkverify", Rewrite = "rewrite-corrupted", Pattern = "read-pattern";
    private const string Children = "children";

    // as many as a json: name of the longest kind could describe
    private const int MaxChildren = 256;

    private static readonly string[] Strong = [Threshold, Verify, Rewrite, Pattern];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var options = opening.Options;
        int count = CountChildren(options);
        long threshold = ThresholdOf(options);
        if (count == 0)
        {
            throw new ToolException("Number of provided children must be 1 or more");
        }

        if (threshold > count)
        {
            throw new ToolException("threshold may not exceed children count");
        }

        var rules = RulesOf(options, (int)threshold, count);
        var disks = new List<IBlockDevice>();
        var inherited = opening.Settings.ForChild();
        for (int i = 0; i < count; i++)
        {
            var child = await opening.OpenChildAsync(
                null, $"{Children}.{i}", isProtocol: false, BranchOf(inherited));
            disks.Add(child.Device);
        }

        CheckDisks(disks);
        var device = new QuorumDevice(disks, rules);
        string folderless = "json:{\"driver\": \"quorum\"}";
        return new ImageNode { Driver = Name, Storage = new DeviceStorage(device, folderless), Device = device };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged) => null;

    // the children lie side by side: what one of them names is not below another
    private static OpenSettings BranchOf(OpenSettings settings)
    {
        var branch = settings.Chain!.Branch();
        return settings with { Chain = branch, Admit = settings.Admit is null ? null : branch.Admit(Children, null) };
    }

    private static void CheckDisks(List<IBlockDevice> disks)
    {
        if (disks.Exists(static d => d.Zones is not null))
        {
            throw new ToolException("quorum is not supported on zoned disks: write pointers cannot be voted on");
        }
    }

    private static int CountChildren(QDict options)
    {
        var numbers = new HashSet<int>();
        foreach (var (key, _) in options.InOrder.Where(static o => o.Key.StartsWith(Children + ".", StringComparison.Ordinal)))
        {
            string number = key[(Children.Length + 1)..].Split('.')[0];
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int index) || index >= MaxChildren)
            {
                throw new ToolException("Option children is not a valid array");
            }

            numbers.Add(index);
        }

        return numbers.Count == 0 || numbers.Max() == numbers.Count - 1 ? numbers.Count
            : throw new ToolException("Option children is not a valid array");
    }

    private static long ThresholdOf(QDict options)
    {
        long threshold = 0;
        if (NodeOptions.Text(options.Take(Threshold)) is { } text)
        {
            threshold = SizeParser.TryParseInteger(text, out ulong value) == NumberFault.None ? (long)Math.Min(value, int.MaxValue)
                : throw new ToolException($"Parameter '{Threshold}' expects a number");
        }

        return threshold >= 1 ? threshold : throw new ToolException($"Parameter '{Threshold}' expects a value >= 1");
    }

    private static QuorumRules RulesOf(QDict options, int threshold, int count)
    {
        var read = NodeOptions.Text(options.Take(Pattern)) switch
        {
            null or "quorum" => QuorumRead.Vote,
            "fifo" => QuorumRead.First,
            _ => throw new ToolException("Please set read-pattern as fifo or quorum"),
        };
        bool verifies = read == QuorumRead.Vote && (NodeOptions.Flag(options, Verify) ?? false);
        if (verifies && (count != 2 || threshold != 2))
        {
            throw new ToolException("blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
        }

        bool rewrites = NodeOptions.Flag(options, Rewrite) ?? false;
        return rewrites && verifies
            ? throw new ToolException("rewrite-corrupted=on cannot be used with blkverify=on")
            : new QuorumRules(threshold, read, rewrites, verifies);
    }
}
