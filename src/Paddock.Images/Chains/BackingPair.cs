using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Images.Chains;

/// <summary>Two backing images of one overlay: finds out where they hold the same without reading them.</summary>
/// <param name="old">One; null: zeroes everywhere.</param>
/// <param name="next">The other; null: zeroes everywhere.</param>
internal sealed class BackingPair(ImageNode? old, ImageNode? next)
{
    private readonly Dictionary<ImageNode, ImageNode> _shared = SharedOf(old, next);

    /// <summary>A run of both.</summary>
    /// <returns>Whether it is known to be the same in both, and its length.</returns>
    public async ValueTask<(bool IsSame, long Length)> QueryAsync(long offset, long length)
    {
        var (oldLayer, oldZero, oldLength) = await LayerAsync(old, offset, length);
        var (nextLayer, nextZero, nextLength) = await LayerAsync(next, offset, oldLength);
        bool isSame = (oldZero && nextZero)
            || (!oldZero && !nextZero && oldLayer is not null && nextLayer is not null && _shared.TryGetValue(oldLayer, out var same)
                && same == nextLayer);
        return (isSame, nextLength);
    }

    private static async ValueTask<(ImageNode? Layer, bool IsZero, long Length)> LayerAsync(ImageNode? image, long offset, long length)
    {
        if (image is null || offset >= image.Device.Length)
        {
            return (null, true, length);
        }

        var status = await ChainStatus.QueryAsync(image, offset, Math.Min(length, image.Device.Length - offset));
        return (status.Layer, status.IsZero, status.Length);
    }

    // images of both chains that lie in the same file, and are the same there
    private static Dictionary<ImageNode, ImageNode> SharedOf(ImageNode? old, ImageNode? next)
    {
        var shared = new Dictionary<ImageNode, ImageNode>();
        for (var one = old; one is not null; one = one.Backing)
        {
            for (var other = next; other is not null; other = other.Backing)
            {
                if (one == other || (IsPlain(one) && IsPlain(other) && one.Driver == other.Driver
                    && FileIdentity.IsSameFile(one.Storage.Name, other.Storage.Name)))
                {
                    shared[one] = other;
                }
            }
        }

        return shared;
    }

    // a raw image may be a part of its file: then it has no plain name
    private static bool IsPlain(ImageNode node)
        => node.Protocol == "file" && node.Driver is ("qcow2" or "raw") && !BackingName.HasProtocol(node.Filename);
}
