using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Qcow2.Zoned;

namespace Paddock.Images.Chains;

/// <summary>Zones of an overlay and of the image below it: they must be the same, while the write pointers are each image's own.</summary>
internal static class ZoneChain
{
    /// <summary>The zoned image of a device; null if it has no zones.</summary>
    public static ZonedImage? ZonedOf(IQcow2Device? image)
        => image is null ? null : image as ZonedImage ?? CheckedDevice.Unwrap(image) as ZonedImage;

    /// <summary>Where an image is written without regard to its zones.</summary>
    public static IBlockDevice BelowZones(ImageNode node) => ZonedOf(node.Qcow2)?.BelowZones ?? node.Device;

    /// <summary>Refuses a zoned overlay on an image with other zones, or with none.</summary>
    /// <param name="overlay">The overlay's zones; null without.</param>
    /// <param name="backing">The image below.</param>
    /// <param name="name">Its name, for the message.</param>
    public static void RequireSame(IZones? overlay, IBlockDevice backing, string name)
    {
        if (overlay is null)
        {
            return;
        }

        if (backing.Zones is not { } below)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"the image has zones and its backing file '{EscapedText.Escape(name)}' has none");
        }

        var (own, other) = (overlay.Limits, below.Limits);
        if ((own.ZoneSize, own.ZoneCapacity, own.ConventionalZones) != (other.ZoneSize, other.ZoneCapacity, other.ConventionalZones))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"the image has zones of {own.ZoneSize} bytes (capacity {own.ZoneCapacity}, {own.ConventionalZones} conventional), and its "
                    + $"backing file '{EscapedText.Escape(name)}' zones of {other.ZoneSize} bytes (capacity {other.ZoneCapacity}, "
                    + $"{other.ConventionalZones} conventional): they must be the same");
        }
    }

    /// <summary>Refuses a commit between images of which only one has zones, or whose zones differ.</summary>
    public static void RequireCommittable(ImageNode top, ImageNode target)
    {
        if (top.Device.Zones is null && target.Device.Zones is not null)
        {
            throw new BlockException(
                BlockError.NotSupported,
                $"'{EscapedText.Escape(target.Filename)}' has zones and the overlay has none: its write pointers would be unknown");
        }

        RequireSame(top.Device.Zones, target.Device, target.Filename);
        if (top.Device.Zones is not null && ZonedOf(target.Qcow2) is null)
        {
            throw new BlockException(
                BlockError.NotSupported, $"'{EscapedText.Escape(target.Filename)}' is not a qcow2 image: its zones cannot be replaced");
        }
    }

    /// <summary>After the data: gives the base the zones of the overlay.</summary>
    public static async ValueTask CommitZonesAsync(ImageNode top, ImageNode target, CancellationToken cancellationToken = default)
    {
        if (ZonedOf(top.Qcow2) is { } from && ZonedOf(target.Qcow2) is { } to)
        {
            await to.TakeZonesAsync(await from.ReadZonesAsync(cancellationToken), cancellationToken);
        }
    }
}
