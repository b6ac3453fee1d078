using Paddock.Block;
using Paddock.Images;

namespace Paddock.Compat.Img;

/// <summary>Bitmaps of an image that are read.</summary>
internal static class BitmapSource
{
    /// <summary>Opens a bitmap of an image.</summary>
    /// <exception cref="BlockException">There is no such bitmap, or it cannot be used.</exception>
    public static async ValueTask<IDirtyBitmap> OpenAsync(ImageNode node, string name)
        => node.Qcow2 is { } image ? await image.Bitmaps.OpenAsync(name) : throw NotFound(name);

    /// <summary>There is no such bitmap.</summary>
    public static BlockException NotFound(string name) => new(BlockError.NotFound, $"Dirty bitmap '{name}' not found");
}
