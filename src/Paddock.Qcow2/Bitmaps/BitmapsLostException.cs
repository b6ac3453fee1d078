using Paddock.Block;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>
/// The bitmaps of an image could not be stored when it was closed: they are inconsistent. The image is closed all the same.
/// </summary>
/// <param name="image">Name of the image's storage.</param>
/// <param name="cause">The failure.</param>
internal sealed class BitmapsLostException(string image, BlockException cause)
    : BlockException(cause.Error, TextFor(image, cause), cause)
{
    /// <summary>The message with another name of the image.</summary>
    public string MessageFor(string name) => TextFor(name, InnerException!);

    private static string TextFor(string name, Exception cause)
        => $"Lost persistent bitmaps during inactivation of node '{name}': {cause.Message}";
}
