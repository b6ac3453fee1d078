using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Server.Disks;
using Paddock.Server.Live;

namespace Paddock.Server.Standby;

/// <summary>Opens the images of a server that may wait for them (<c>--standby</c>).</summary>
internal static class StandbyOpening
{
    private const int Attempts = 20;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Opens an image that nobody owns; if somebody does, only its size and zones are read.</summary>
    /// <param name="opener">Opens images.</param>
    /// <param name="image">Settings of the image.</param>
    /// <param name="name">Name of the disk.</param>
    /// <param name="trace">Receives each request; null: no trace is written.</param>
    /// <exception cref="ToolException">The image cannot be opened, or its format is a guess.</exception>
    public static async Task<ServedDisk> OpenAsync(ImageOpener opener, ServedImage image, string name, ITraceSink? trace)
    {
        try
        {
            var disk = await ServedDisk.OpenAsync(opener, image, name, null, trace);
            if (disk.OpenNode is { IsGuess: true })
            {
                await disk.CloseAsync();
                throw Guess(image);
            }

            return disk;
        }
        catch (ToolException e) when (!image.ReadOnly && DiskOwnership.IsBusy(e))
        {
            return ServedDisk.OnStandby(image, name, await LookAsync(opener, image, name), trace);
        }
    }

    private static ToolException Guess(ServedImage image)
        => new($"'{image.Path}': --standby requires the format of a raw image, since what clients write to it could be taken for another "
            + "format at the next take-over: specify --format raw", NativeExit.Usage);

    // the owner may be changing the tables that are read
    private static async Task<UnownedDevice> LookAsync(ImageOpener opener, ServedImage image, string name)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await ReadAsync(opener, image, name);
            }
            catch (Exception e) when (e is ToolException or BlockException && attempt < Attempts)
            {
                await Task.Delay(Pause);
            }
        }
    }

    private static async Task<UnownedDevice> ReadAsync(ImageOpener opener, ServedImage image, string name)
    {
        var settings = new OpenSettings
        {
            ReadOnly = true, ForceShare = true, Format = image.Format, Passphrase = image.ReadPassphrase(),
        };
        await using var node = await opener.OpenAsync(image.Path, settings);
        if (image.Format is null && node.Driver == FormatProbe.Raw)
        {
            throw Guess(image);
        }

        // copies nothing by itself, as the image that is taken over
        var device = image.WriteThrough ? new CacheDevice(CheckedDevice.Unwrap(node.Device)) : node.Device;
        return UnownedDevice.For(device, $"'{name}' is on standby: another server owns the image");
    }
}
