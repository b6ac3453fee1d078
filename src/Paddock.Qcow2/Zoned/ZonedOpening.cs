using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>Opens the zones of an image, with the warnings of zoned-qcow2.md 1.1.</summary>
internal static class ZonedOpening
{
    /// <summary>Gives the zoned device where the image has zones, else the image itself.</summary>
    public static async ValueTask<IQcow2Device> AttachAsync(Qcow2Image image, CancellationToken cancellationToken)
    {
        var header = image.Parts.Header;
        var warnings = image.Parts.Warnings;
        bool flagged = header.Has(IncompatibleFeatures.Zoned);
        var parameters = header.Find(HeaderExtension.Zoned) is { } extension
            ? ZonedExtension.Read(extension.Data, image.Length, header.Geometry.ClusterSize, image.Storage.Length)
            : null;
        if (parameters is null)
        {
            if (flagged)
            {
                warnings.Add("the image has the zoned feature bit and no zones: opened as a regular image (check -r all clears the bit)");
            }

            return image;
        }

        if (!header.HasVersion3)
        {
            throw new BlockException(
                BlockError.NotSupported,
                "a version 2 image cannot be zoned: it has no feature bit that keeps other programs from writing it");
        }

        if (!flagged)
        {
            warnings.Add("the image has zones and not the zoned feature bit, which will be set before the first write");
        }

        var offset = new HostOffset((long)parameters.TableOffset);
        var stored = new byte[parameters.ZoneCount * (long)ZoneTableFormat.EntrySize];
        await image.Storage.OnEventAsync("zone_table_load");
        await image.Storage.ReadAsync(offset.Value, stored, cancellationToken);
        var zones = new ZoneSet(parameters.Limits, image.Length);
        var format = ZoneTableFormat.Detect(stored, parameters.Layout, zones);
        LoadPointers(stored, format, zones, warnings);
        var table = new ZonePointerTable(image.Storage, offset, stored, format);
        var zoned = new ZonedImage(image, new ZonedState(header, parameters, zones, table));
        await zoned.LoadAttributesAsync(cancellationToken);
        return zoned;
    }

    private static void LoadPointers(byte[] stored, ZoneTableFormat format, ZoneSet zones, List<string> warnings)
    {
        int bad = 0;
        int firstBad = -1;
        for (int zone = 0; zone < zones.Count; zone++)
        {
            if (format.TryRead(stored, zone, zones, out long pointer))
            {
                zones.SetLoaded(zone, pointer);
            }
            else
            {
                zones.SetFixed(zone, ZoneCondition.Offline);
                firstBad = bad++ == 0 ? zone : firstBad;
            }
        }

        if (bad > 0)
        {
            warnings.Add(
                $"the zone table is corrupt: {bad} of its entries, the first that of zone {firstBad}, "
                + "point outside their zones, which are OFFLINE (check -r all repairs them)");
        }
    }
}
