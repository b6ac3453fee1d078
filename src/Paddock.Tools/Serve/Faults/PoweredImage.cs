using Paddock.Block;
using Paddock.Block.Faults;
using Paddock.Block.Serving;
using Paddock.Posix;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve.Faults;

/// <summary>An image over a volatile write cache, so that its power can be cut: what was not flushed is dropped, and the image opens anew.</summary>
internal sealed class PoweredImage : IAsyncDisposable
{
    private readonly ImageOpener _opener;
    private readonly ServedImage _image;
    private readonly FileFacts _file;
    private readonly long _size;
    private VolatileStorage _cache;
    private ImageNode _node;
    private IStorage? _durable;

    private PoweredImage(ImageOpener opener, ServedImage image, FileFacts file, long size, VolatileStorage cache, ImageNode node)
    {
        _opener = opener;
        _file = file;

        // what was found at first stays: clients must not choose the format by what they write
        _image = image with { Format = image.Format ?? (node.IsGuess ? null : node.Driver) };
        _size = size;
        _cache = cache;
        _node = node;
    }

    /// <summary>The image as it was opened last.</summary>
    public ImageNode Node => _node;

    /// <summary>Bytes that a cut would drop now.</summary>
    public long UnflushedBytes => _cache.UnflushedBytes;

    /// <summary>Opens an image; <paramref name="over"/> puts something over its file.</summary>
    /// <exception cref="ToolException">It cannot be opened, or is no file.</exception>
    public static async Task<PoweredImage> OpenAsync(ImageOpener opener, ServedImage image, long size, Func<IStorage, IStorage> over)
    {
        if (image.Path.Contains("://", StringComparison.Ordinal) || image.Path.StartsWith("json:", StringComparison.Ordinal))
        {
            throw new ToolException($"'{image.Path}': a volatile cache goes under an image in a file");
        }

        var storage = ImageOpener.OpenStored(ImageOpener.PathOf(image.Path), readOnly: false);
        var cache = new VolatileStorage(over(storage), size);
        return new PoweredImage(opener, image, storage.Facts, size, cache, await OpenOverAsync(opener, image, storage.Facts, cache));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _node.DisposeAsync();

    /// <summary>Drops what was not flushed; every request fails from here on.</summary>
    public async Task CutAsync(int keepPercent, int seed) => _durable = await _cache.CutAsync(keepPercent, seed);

    /// <summary>Opens the image from what survived. No request may be inside the old one any more.</summary>
    /// <param name="served">Gets the new image in place of the old one.</param>
    /// <exception cref="ToolException">It cannot be opened: its requests go on to fail.</exception>
    public async Task RestoreAsync(ServedDevice served)
    {
        if (_durable is not { } durable)
        {
            return;
        }

        // writes that each left a raw disk can leave something else together, once some of them are gone
        if (_node.IsGuess && await FormatProbe.DetectAsync(durable) is not FormatProbe.Raw and var format)
        {
            throw new ToolException($"'{_image.Path}' looks like a {format} image now, and its format was not specified: set format: raw");
        }

        _cache = new VolatileStorage(durable, _size);
        _durable = null;
        _node = await OpenOverAsync(_opener, _image, _file, _cache);
        try
        {
            // the old image has nothing left to write to
            await served.Replace(_node.Device).DisposeAsync();
        }
        catch (BlockException e) when (e.Error == BlockError.NoMedium)
        {
            // as it must
        }
    }

    private static ValueTask<ImageNode> OpenOverAsync(ImageOpener opener, ServedImage image, FileFacts file, IStorage storage)
        => opener.OpenAsync(image.Path, new OpenSettings
        {
            ReadOnly = false, Format = image.Format, Storage = storage, StorageFacts = file, KeepFreedSpace = ServedDisk.KeepFreedSpace,
        });
}
