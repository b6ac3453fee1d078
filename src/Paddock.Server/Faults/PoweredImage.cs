using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Server.Disks;

namespace Paddock.Server.Faults;

/// <summary>An image over a volatile write cache: a power cut drops unflushed data and the image is reopened.</summary>
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

        // keep the format probed at first: clients must not choose the format by the data they write
        _image = image with { Format = image.Format ?? (node.IsGuess ? null : node.Driver) };
        _size = size;
        _cache = cache;
        _node = node;
    }

    /// <summary>The current image.</summary>
    public ImageNode Node => _node;

    /// <summary>Bytes that a power cut would drop.</summary>
    public long UnflushedBytes => _cache.UnflushedBytes;

    /// <summary>Opens an image; <paramref name="over"/> decorates its file.</summary>
    /// <exception cref="ToolException">The image cannot be opened, or is not a file.</exception>
    public static async Task<PoweredImage> OpenAsync(ImageOpener opener, ServedImage image, long size, Func<IStorage, IStorage> over)
    {
        if (image.Path.Contains("://", StringComparison.Ordinal) || image.Path.StartsWith("json:", StringComparison.Ordinal))
        {
            throw new ToolException($"'{image.Path}': a volatile cache requires an image in a local file");
        }

        var storage = ImageOpener.OpenStored(ImageOpener.PathOf(image.Path), readOnly: false);
        var cache = new VolatileStorage(over(storage), size);
        return new PoweredImage(opener, image, storage.Facts, size, cache, await OpenOverAsync(opener, image, storage.Facts, cache));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _node.DisposeAsync();

    /// <summary>Drops unflushed data; every later request fails.</summary>
    public async Task CutAsync(int keepPercent, int seed) => _durable = await _cache.CutAsync(keepPercent, seed);

    /// <summary>Reopens the image from the surviving data. No request may be running on the old one.</summary>
    /// <param name="served">The device in which the new image replaces the old one.</param>
    /// <exception cref="ToolException">The image cannot be opened; its requests keep failing.</exception>
    public async Task RestoreAsync(ServedDevice served)
    {
        if (_durable is not { } durable)
        {
            return;
        }

        // writes that were each acceptable for a raw disk may form another format once some of them are lost
        if (_node.IsGuess && await FormatProbe.DetectAsync(durable) is not FormatProbe.Raw and var format)
        {
            throw new ToolException($"'{_image.Path}' now looks like a {format} image and no format was specified: specify --format raw");
        }

        _cache = new VolatileStorage(durable, _size);
        _durable = null;
        _node = await OpenOverAsync(_opener, _image, _file, _cache);
        try
        {
            // the old image cannot write any more
            await served.Replace(_node.Device).DisposeAsync();
        }
        catch (BlockException e) when (e.Error == BlockError.NoMedium)
        {
            // expected
        }
    }

    private static ValueTask<ImageNode> OpenOverAsync(ImageOpener opener, ServedImage image, FileFacts file, IStorage storage)
    {
        var settings = new OpenSettings
        {
            ReadOnly = false, Format = image.Format, Storage = storage, StorageFacts = file, KeepFreedSpace = ServedDisk.KeepFreedSpace,
            Passphrase = image.ReadPassphrase(), Cache = image.CacheMode,
        };
        return opener.OpenAsync(image.Path, settings);
    }
}
