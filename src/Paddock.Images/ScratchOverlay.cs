using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>A qcow2 overlay in memory that takes every change of a session and is dropped at its end.</summary>
internal static class ScratchOverlay
{
    /// <summary>Puts an overlay on an image that is open for reading.</summary>
    /// <param name="below">The image; owned by the result.</param>
    public static async ValueTask<ImageNode> OverAsync(ImageNode below)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = below.Device.Length, BackingFile = below.Filename, BackingFormat = below.Driver });
        var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { Gate = new Opened(below.Device) });
        return new ImageNode
        {
            Driver = "qcow2",
            Filename = below.Filename,
            Storage = storage,
            Qcow2 = image,
            Device = image,
            Backing = below,
        };
    }

    /// <summary>Gives the image that is open already.</summary>
    private sealed class Opened(IBlockDevice device) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken) => new(device);
    }
}
