using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>Opens the backing image that an overlay names, relative to the overlay, or the one that options put in its place.</summary>
/// <param name="overlay">The overlay while it is opened.</param>
/// <param name="options">Options of the backing image; empty if the name in the overlay says all.</param>
internal sealed class BackingGate(NodeOpening overlay, QDict options) : IImageGate
{
    /// <summary>The open backing image; null if absent.</summary>
    public ImageNode? Opened { get; private set; }

    /// <summary>Name of the backing image that the overlay itself would open.</summary>
    public string? Expected { get; private set; }

    /// <inheritdoc/>
    public async ValueTask<IBlockDevice?> OpenBackingAsync(
        string name, string? format, IStorage overlayStorage, CancellationToken cancellationToken)
    {
        try
        {
            return await OpenStoredAsync(name, format, overlayStorage);
        }
        catch (BlockException e) when (
            name.StartsWith("json:", StringComparison.Ordinal) || EscapedText.Escape(name + format) != name + format)
        {
            // a part of the name is in the message, and must not make lines of its own there
            throw new BlockException(e.Error, EscapedText.Escape(e.Message), e) { Errno = e.Errno };
        }
    }

    private async ValueTask<IBlockDevice?> OpenStoredAsync(string name, string? format, IStorage overlayStorage)
    {
        var above = overlay.Settings;
        ImageChain.CheckDepth(overlay.Depth + 1);
        bool isReplaced = options.InOrder.Any(static o => o.Key.StartsWith("file.", StringComparison.Ordinal)
            || (o.Key == "driver" && o.Value is not ("raw" or "qcow2")));
        bool isTyped = isReplaced && !above.AreOptionsStored;
        bool isImplicit = options.Count == 0;
        bool isBase = above.Base?.Matches(name, overlayStorage.Name) == true;
        var settings = new OpenSettings
        {
            ReadOnly = !isBase,
            Base = isBase ? null : above.Base,
            Format = format,
            ForceShare = above.ForceShare,
            AreOptionsStored = above.AreOptionsStored,
            Cache = above.Cache,
            Chain = above.Chain,
            Stop = above.Stop,
            Admit = isTyped ? null : above.Chain!.Admit(name, format),
            Objects = isTyped ? above.Objects : [],
            Secrets = above.Secrets ?? above.Objects,
            Passphrase = above.Passphrase,
            SharesConnections = above.SharesConnections,
        };
        string? path = null;
        try
        {
            path = BackingName.Resolve(name, overlayStorage.Name);
            Opened = await overlay.Opener.OpenAsync(
                isReplaced ? null : path, options, settings, overlay.Depth + 1, isProtocol: false);
            if (isBase)
            {
                above.Base!.Found = Opened;
            }

            Expected = isImplicit ? Opened.Filename : name;
            overlay.Add(ImageNode.BackingKey, Opened);
            return Opened.Device;
        }
        catch (ToolException e) when (e is not BaseNotWritableException)
        {
            string why = e.Message;
            if (isBase && path is not null && e.InnerException is BlockException)
            {
                why = ReadFailureOf(path) ?? throw new BaseNotWritableException(e.Message, e);
            }

            throw new BlockException(BlockError.NotFound, "Could not open backing file: " + why, e);
        }
    }

    // an image that can be read is refused because it is to be written
    private static string? ReadFailureOf(string path)
    {
        try
        {
            ImageOpener.OpenStored(ImageOpener.PathOf(path), readOnly: true).Dispose();
            return null;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            return e.Message;
        }
    }
}
