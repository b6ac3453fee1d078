using Paddock.Block;
using Paddock.Images.Filters;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The driver throttle.</summary>
internal sealed class ThrottleDriver() : NodeDriver("throttle", NodeKind.Filter)
{
    private const string Group = "throttle-group";
    private static readonly string[] Strong = [Group];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        if (NodeOptions.Text(opening.Options.Take(Group)) is not { } id)
        {
            throw new ToolException("Please specify a throttle group");
        }

        var device = new ThrottleDevice(
            CheckedDevice.Unwrap(file.Device), opening.Settings.Chain!.GroupOf(id, opening.Settings.Objects));
        return new(FilterNode.Over(Name, file, device));
    }
}

/// <summary>The driver copy-on-read.</summary>
internal sealed class CopyOnReadDriver() : NodeDriver("copy-on-read", NodeKind.Filter)
{
    private const string Bottom = "bottom";
    private static readonly string[] Strong = [Bottom];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        if (file.Device.IsReadOnly)
        {
            throw new ToolException("Block node is read-only");
        }

        // reads of what lies below the bottom would not be copied; only the whole chain is offered
        if (NodeOptions.Text(opening.Options.Take(Bottom)) is { } bottom && !file.Contains(bottom))
        {
            throw new ToolException($"Bottom node '{bottom}' not found");
        }

        return new(FilterNode.Over(Name, file, CopyOnReadDevice.Over(file, file.Driver == BlkdebugDriver.DriverName ? file.Faults : null)));
    }
}

/// <summary>The driver compress.</summary>
internal sealed class CompressDriver() : NodeDriver("compress", NodeKind.Filter)
{
    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        if (file.Qcow2 is not { } image)
        {
            throw new ToolException($"Compression is not supported for underlying format: {file.Driver}");
        }

        return image.Zones is null
            ? new(FilterNode.Over(Name, file, new CompressDevice(CheckedDevice.Unwrap(file.Device), image, file.ClusterSize)))
            : throw new ToolException("Compression is not supported for a zoned disk: its zones hold clusters that are not compressed");
    }
}

/// <summary>The driver preallocate.</summary>
internal sealed class PreallocateDriver() : NodeDriver("preallocate", NodeKind.Filter)
{
    private const string Align = "prealloc-align", Ahead = "prealloc-size";
    private const long DefaultAlign = 1 << 20, DefaultAhead = 128 << 20;

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        long align = opening.Options.Take(Align) is { } a ? NodeOptions.Size(Align, a) : DefaultAlign;
        long ahead = opening.Options.Take(Ahead) is { } s ? NodeOptions.Size(Ahead, s) : DefaultAhead;
        if (align < 512 || align % 512 != 0)
        {
            throw new ToolException("prealloc-align parameter of preallocate filter is not aligned to 512");
        }

        return new(FilterNode.Over(Name, file, new PreallocateDevice(CheckedDevice.Unwrap(file.Device), align, ahead)));
    }
}

/// <summary>Makes the node of a filter.</summary>
internal static class FilterNode
{
    /// <summary>A node with the chain and the storage of the node that it filters.</summary>
    public static ImageNode Over(string driver, ImageNode file, IBlockDevice device) => new()
    {
        Driver = driver,
        Storage = file.Storage,
        Protocol = file.Protocol,
        Device = device,
        Backing = file.Backing,
        Faults = file.Faults,
    };
}
