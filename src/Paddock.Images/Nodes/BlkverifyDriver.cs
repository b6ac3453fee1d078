using Paddock.Block;
using Paddock.Images.Filters;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The driver blkverify: an image beside a raw reference, as <c>blkverify:RAW:IMAGE</c> or by options.</summary>
internal sealed class BlkverifyDriver() : NodeDriver("blkverify", NodeKind.Protocol)
{
    private const string Scheme = "blkverify:", RawName = "x-raw", ImageName = "x-image", Raw = "raw", Test = "test";

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options)
    {
        if (!filename.StartsWith(Scheme, StringComparison.Ordinal))
        {
            options[ImageName] = filename;
            return;
        }

        int colon = filename.IndexOf(':', Scheme.Length);
        if (colon < 0)
        {
            throw new ToolException("blkverify requires raw copy and original image path");
        }

        options[RawName] = filename[Scheme.Length..colon];
        options[ImageName] = filename[(colon + 1)..];
    }

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var options = opening.Options;
        if (options.Take("filename") is string filename)
        {
            ParseName(filename, options);
        }

        var raw = await opening.OpenChildAsync(options.Take(RawName) as string, Raw, isProtocol: true);
        var test = await opening.OpenChildAsync(options.Take(ImageName) as string, Test, isProtocol: false);
        var device = new VerifyDevice(CheckedDevice.Unwrap(test.Device), CheckedDevice.Unwrap(raw.Device));
        return new ImageNode
        {
            Driver = Name,
            Storage = new DeviceStorage(device, raw.Storage.Name),
            Device = device,
            Faults = raw.Faults,
        };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged)
        => node.Children[0].Node.PlainName is { } raw && node.Children[1].Node.PlainName is { } test ? $"{Scheme}{raw}:{test}" : null;
}
