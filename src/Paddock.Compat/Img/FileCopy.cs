using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Img;

/// <summary>Copies inside the file system (<c>-C</c>): nothing is read, and file systems with shared blocks copy no data.</summary>
internal static class FileCopy
{
    /// <summary>Copies from one raw file to another; null if the nodes are anything else.</summary>
    public static Func<long, long, long, bool>? Between(IReadOnlyList<ImageNode> sources, ImageNode target)
        => sources is [{ } source] && IsPlain(source, out var from) && IsPlain(target, out var to)
            ? (at, into, length) => to.TryCopyRange(from, at, into, length) : null;

    private static bool IsPlain(ImageNode node, out FileStorage file)
    {
        file = (node.Storage as FileStorage)!;
        return node is { Driver: "raw", Protocol: "file", IsGuess: false } && file is not null;
    }
}
