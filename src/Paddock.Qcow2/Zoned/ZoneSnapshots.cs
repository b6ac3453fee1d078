using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Zoned;

/// <summary>The zones' part in snapshots: their record is captured, and brought back (docs/formats/paddock-extension.md).</summary>
internal sealed class ZoneSnapshots(
    ZonedState state, ZoneCache cache, IStorage storage, ClusterGeometry geometry, ImageTables tables, MetadataGuard guard,
    PaddockTables paddock, ZoneConditions conditions, ZoneExtensions extensions, AttributeRestore restore) : ISnapshotZones
{
    /// <summary>Reads the zone record that an entry names.</summary>
    /// <exception cref="BlockException">There is none, or it is corrupt.</exception>
    public static ValueTask<ZoneRecord> ReadRecordAsync(
        IStorage storage, ClusterGeometry geometry, SnapshotEntry entry, long zoneSize, CancellationToken cancellationToken = default)
        => ReadRecordAsync(storage, PlaceOf(entry, geometry), entry.Id, zoneSize, cancellationToken);

    /// <summary>Reads a zone record.</summary>
    /// <param name="storage">Where the image lies.</param>
    /// <param name="place">Where the record is.</param>
    /// <param name="snapshot">Which snapshot it belongs to, for messages.</param>
    /// <param name="zoneSize">Of the image.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="BlockException">It is corrupt.</exception>
    public static async ValueTask<ZoneRecord> ReadRecordAsync(
        IStorage storage, SnapshotZones place, string snapshot, long zoneSize, CancellationToken cancellationToken)
    {
        if (place.Offset.Value > storage.Length - place.Bytes)
        {
            throw new ImageCorruptException("zone record", place.Offset, $"the zones of snapshot {snapshot}: they end behind the file");
        }

        var bytes = new byte[place.Bytes];
        await storage.ReadAsync(place.Offset.Value, bytes, cancellationToken);
        string? problem = "its checksum is wrong";
        return place.Checksum == Crc32C.Of(bytes) && ZoneRecord.Parse(bytes, zoneSize, out problem) is { } record
            ? record
            : throw new ImageCorruptException("zone record", place.Offset, $"the zones of snapshot {snapshot}: {problem}");
    }

    /// <inheritdoc/>
    public async ValueTask HoldAsync()
    {
        await state.AcquireAsync(0, long.MaxValue);
        try
        {
            await cache.DrainAllHeldAsync(CancellationToken.None);
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Release() => state.Release(0, long.MaxValue);

    /// <inheritdoc/>
    public async ValueTask<byte[]> CaptureAsync()
    {
        int count = state.Zones.Count;
        var (pointers, kept) = (new long[count], new ZoneCondition[count]);
        List<int> extended = [];
        lock (state.Lock)
        {
            for (int zone = 0; zone < count; zone++)
            {
                // a zone whose entry is corrupt is OFFLINE, and so it is in the snapshot
                bool isSound = state.Table.Format.TryRead(state.Table.Stored, zone, state.Zones, out long pointer);
                bool isSequential = state.Zones.Geometry.IsSequential(zone);
                pointers[zone] = isSound && isSequential ? pointer : state.Zones.StartOf(zone);
                kept[zone] = isSound ? conditions[zone] : ZoneCondition.Offline;
                if (state.Zones.IsExtended(zone))
                {
                    extended.Add(zone);
                }
            }
        }

        var data = new List<(int Zone, byte[] Data)>(extended.Count);
        foreach (int zone in extended)
        {
            var bytes = new byte[extensions.Bytes];
            await extensions.ReadAsync(zone, bytes, CancellationToken.None);
            data.Add((zone, bytes));
        }

        var record = new ZoneRecord
        {
            ZoneSize = state.Zones.Geometry.ZoneSize, Pointers = pointers, Conditions = kept, ExtensionBytes = extensions.Bytes,
            Extensions = data,
        };
        return record.ToBytes() is { LongLength: <= SnapshotZones.MaxRecordBytes } captured
            ? captured
            : throw new BlockException(
                BlockError.TooLarge,
                $"the zones and their descriptor extensions take more than {SnapshotZones.MaxRecordBytes} bytes in a snapshot");
    }

    /// <inheritdoc/>
    public async ValueTask<ISnapshotZoneSwitch> ReadAsync(SnapshotEntry entry, long diskSize)
    {
        paddock.RequireKnown();
        var record = await ReadRecordAsync(storage, geometry, entry, state.Zones.Geometry.ZoneSize);
        if (record.Pointers.Length != ZonesOf(diskSize) || (record.ExtensionBytes != extensions.Bytes && record.Extensions.Count > 0))
        {
            throw new ImageCorruptException(
                "snapshot table", default, $"snapshot {entry.Id} has {record.Pointers.Length} zones, and a disk of {diskSize} bytes");
        }

        // as the header must have it: an image with fewer zones than conventional ones could not be opened again
        int conventional = state.Zones.Geometry.ConventionalZones;
        if (record.Pointers.Length < conventional)
        {
            throw new ImageCorruptException(
                "snapshot table", default,
                $"snapshot {entry.Id} has {record.Pointers.Length} zones, and the disk {conventional} conventional ones");
        }

        return new ZoneRecordSwitch(state, tables, guard, restore, record, PlaceOf(entry, geometry), diskSize);
    }

    private static SnapshotZones PlaceOf(SnapshotEntry entry, ClusterGeometry geometry)
        => SnapshotZones.Find(entry.Extra.Span, geometry.ClusterSize) ?? throw new BlockException(
            BlockError.NotSupported,
            $"snapshot {entry.Id} has no zone record: a program that does not know zones has taken it; its data can be read");

    private long ZonesOf(long diskSize) => Zones.ZoneGeometry.CountFor(diskSize, state.Zones.Geometry.ZoneSize);
}
