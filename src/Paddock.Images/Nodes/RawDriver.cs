using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The driver raw: the bytes of its file as they are, or a part of them.</summary>
internal sealed class RawDriver() : NodeDriver(FormatProbe.Raw, NodeKind.Format)
{
    private static readonly string[] Strong = ["offset", "size"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        var storage = file.AsStorage();
        long start = opening.Options.Take("offset") is { } offset ? NodeOptions.Size("offset", offset) : 0;
        long? size = opening.Options.Take("size") is { } given ? NodeOptions.Size("size", given) : null;
        var window = Window(storage, start, size);
        bool isGuess = opening.IsProbed && !opening.Settings.ReadOnly && !file.IsNull;

        // a remote disk whose bytes are the image's own takes the requests as they are
        IBlockDevice device = window is NbdStorage remote && (!opening.Settings.ReadOnly || remote.IsReadOnly)
            ? remote.Disk : new RawDevice(window, opening.Settings.ReadOnly, file.IsProtocol ? start : -1);
        return new(new ImageNode
        {
            Driver = Name,
            Storage = storage,
            Protocol = file.Driver,
            Device = CheckedDevice.Wrap(isGuess ? new ProbedRawDevice(device) : device),
            IsGuess = isGuess,
        });
    }

    private static IStorage Window(IStorage storage, long start, long? size)
    {
        long length = storage.Length;
        if (start > length)
        {
            throw new ToolException($"Offset ({start}) cannot be greater than size of the containing file ({length})");
        }

        if (size > length - start)
        {
            throw new ToolException($"The sum of offset ({start}) and size ({size}) has to be smaller or equal to the "
                + $" actual size of the containing file ({length})");
        }

        return size % 512 > 0 ? throw new ToolException("Specified size is not multiple of 512")
            : start == 0 && size is null ? storage : new WindowStorage(storage, start, size);
    }
}
