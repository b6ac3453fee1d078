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
            ? ZonedExtension.Read(extension.Data, image.Parts.PresentSize, header.Geometry.ClusterSize, image.Storage.Length)
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

        if (image.Parts.LoadedSnapshot is { } snapshot)
        {
            return await AttachSnapshotAsync(image, snapshot, parameters, cancellationToken);
        }

        var offset = new HostOffset((long)parameters.TableOffset);
        var stored = new byte[parameters.ZoneCount * (long)ZoneTableFormat.EntrySize];
        await image.Storage.OnEventAsync("zone_table_load");

        // of an encrypted disk a record would be plain text that somebody without the key may have made
        bool mayHaveData = header.Has(IncompatibleFeatures.ZoneData) && !header.IsEncrypted && image.DataFile is null;

        // in one request: a writer beside this reader changes both in one
        int room = mayHaveData ? ZoneDataRecord.RoomFor(stored.Length, header.Geometry) : 0;
        int place = ZoneDataRecord.PlaceFor(stored.Length);
        var bytes = room > 0 ? new byte[place + ZoneDataRecord.SizeFor(room)] : stored;
        await image.Storage.ReadAsync(offset.Value, bytes, cancellationToken);
        bytes.AsSpan(0, stored.Length).CopyTo(stored);
        var zones = new ZoneSet(parameters.Limits with { RandomArea = AreaOf(image) }, image.Length);
        var format = ZoneTableFormat.Detect(stored, parameters.Layout, zones);
        LoadPointers(stored, format, zones, warnings);
        var table = new ZonePointerTable(image.Storage, offset, stored, format);
        var state = new ZonedState(header, parameters, zones, table);
        bool hasData = room > 0 && TakeData(state, bytes[place..]);
        if (room > 0 && !hasData && ZoneDataRecord.IsMarked(bytes.AsSpan(place)))
        {
            table.SuspectRecord(ZoneDataRecord.SizeFor(room));
        }

        image.Parts.ZoneData.IsLive = table.MayHaveRecord;
        var zoned = new ZonedImage(image, state);
        await zoned.LoadAttributesAsync(cancellationToken);
        if (table.Record is { } record && zones.HasRandomArea(record.Zone))
        {
            // no writer leaves that: data of such a zone may lie above those of the record
            state.Buffers.Drop(record.Zone);
        }

        if (header.Has(IncompatibleFeatures.ZoneData) && !image.IsReadOnly)
        {
            await zoned.SettleDataAsync(cancellationToken);
        }

        return zoned;
    }

    // an extension that is not taken is warned of elsewhere
    private static RandomAreaLimits AreaOf(Qcow2Image image)
        => image.Parts.Header.Find(HeaderExtension.Paddock) is { } found
            ? PaddockExtension.Parse(found.Data, image.Parts.Header.Geometry.ClusterSize, image.Storage.Length, out _)?.Area ?? default
            : default;

    // zones that the snapshot does not have, where the disk keeps its present size, are empty
    private static async ValueTask<IQcow2Device> AttachSnapshotAsync(
        Qcow2Image image, SnapshotEntry snapshot, ZonedParameters parameters, CancellationToken cancellationToken)
    {
        var header = image.Parts.Header;
        if (SnapshotZones.Find(snapshot.Extra.Span, header.Geometry.ClusterSize) is null)
        {
            image.Parts.Warnings.Add($"snapshot {snapshot.Id} has no zone record: opened as a regular disk");
            return image;
        }

        var record = await ZoneSnapshots.ReadRecordAsync(
            image.Storage, header.Geometry, snapshot, (long)parameters.ZoneSize, cancellationToken);
        long number = ZoneGeometry.CountFor(image.Length, (long)parameters.ZoneSize);
        if (number > ZoneGeometry.MaxZones || number < parameters.ConventionalZones)
        {
            throw new ImageCorruptException(
                "snapshot table", default,
                $"snapshot {snapshot.Id} has {number} zones; the disk has {parameters.ConventionalZones} conventional ones, and "
                + $"{ZoneGeometry.MaxZones} is the limit");
        }

        uint count = (uint)number;
        var zones = new ZoneSet((parameters with { ZoneCount = count }).Limits, image.Length);
        for (int zone = 0; zone < zones.Count; zone++)
        {
            zones.SetLoaded(zone, zone < record.Pointers.Length ? record.Pointers[zone] : zones.StartOf(zone));
        }

        var table = new ZonePointerTable(
            image.Storage, new HostOffset((long)parameters.TableOffset), new byte[count * (long)ZoneTableFormat.EntrySize],
            ZoneTableFormat.Of(parameters.Layout));
        var zoned = new ZonedImage(image, new ZonedState(header, parameters with { ZoneCount = count }, zones, table));
        zoned.TakeAttributes(record);
        return zoned;
    }

    // data behind the table are gathered again; a table that was written after them has another pointer
    private static bool TakeData(ZonedState state, byte[] behind)
    {
        if (ZoneDataRecord.Read(behind, state.Table.Offset, out var data) is not { } record || record.Zone < 0
            || record.Zone >= state.Zones.Count || !state.Zones.Geometry.IsSequential(record.Zone)
            || !state.Table.IsValid(record.Zone, state.Zones) || state.Table.PointerOf(record.Zone, state.Zones) != record.End
            || record.Start < state.Zones.StartOf(record.Zone) || record.End > state.CapacityEnd(record.Zone)
            || state.Buffers.Take(record.Zone, record.Start) is not { } buffer)
        {
            return false;
        }

        if (buffer.Room < data.Length)
        {
            state.Buffers.Drop(record.Zone);
            return false;
        }

        data.CopyTo(buffer.Bytes);
        buffer.Length = buffer.Recorded = data.Length;
        state.Table.TakeRecord(record, behind[..ZoneDataRecord.SizeFor(data.Length)]);
        return true;
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
