using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The drivers null-co and null-aio: a disk that keeps nothing.</summary>
/// <param name="name">Which of them.</param>
internal sealed class NullDriver(string name) : NodeDriver(name, NodeKind.Protocol)
{
    private static readonly string[] Strong = ["size", "read-zeroes"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options)
    {
        // nothing may follow the scheme
        if (filename != Name + "://")
        {
            throw new ToolException($"The only allowed filename for this driver is '{Name}://'");
        }
    }

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var options = opening.Options;
        options.Take("filename");
        long size = options.Take("size") is { } s ? NodeOptions.Size("size", s) : NullStorage.DefaultSize;
        bool zeroes = NodeOptions.Flag(options, "read-zeroes") ?? false;
        long latency = (long)(Qcow2Options.TakeNumber(options, "latency-ns") ?? 0);
        if (latency < 0)
        {
            throw new ToolException("latency-ns is invalid");
        }

        return new(new ImageNode
        {
            Driver = Name,
            Storage = new NullStorage(Name + "://", size, zeroes, opening.Settings.ReadOnly, TimeSpan.FromTicks(latency / 100)),
            IsNull = true,
        });
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged) => isChanged ? null : Name + "://";
}
