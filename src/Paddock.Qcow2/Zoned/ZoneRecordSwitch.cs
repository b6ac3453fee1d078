using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Brings the zones of a record back. Pointers change with the disk, in one write of the header. Conditions and descriptor extensions
/// follow (<see cref="AttributeRestore"/>).
/// </summary>
internal sealed class ZoneRecordSwitch(
    ZonedState state, ImageTables tables, MetadataGuard guard, AttributeRestore attributes, ZoneRecord record, SnapshotZones recordPlace,
    long diskSize) : ISnapshotZoneSwitch
{
    private readonly byte[] _stored = Build(state, record);
    private HostOffset _place;

    /// <inheritdoc/>
    public HeaderExtension Extension => new(HeaderExtension.Zoned, ZonedExtension.Write(Parameters));

    private ZonedParameters Parameters
        => state.Parameters with { ZoneCount = (uint)record.Pointers.Length, TableOffset = (ulong)_place.Value };

    /// <inheritdoc/>
    public async ValueTask PlaceAsync(HostOffset l1Offset)
    {
        _place = await tables.PlaceAsync(_stored);
        await attributes.AnnounceAsync(l1Offset, recordPlace, record);
    }

    /// <inheritdoc/>
    public void Abandon()
    {
        attributes.Abandon();
        if (!_place.IsNone)
        {
            tables.Free(_place, _stored.Length);
        }
    }

    /// <inheritdoc/>
    public void Switched()
    {
        var (old, length) = (state.Table.Offset, state.Table.Stored.Length);
        lock (state.Lock)
        {
            // zones that the smaller disk does not have must be empty when it shrinks
            for (int zone = 0; zone < state.Zones.Count; zone++)
            {
                state.Zones.SetLoaded(zone, state.Zones.StartOf(zone));
            }

            state.Follow(Parameters, diskSize, _stored, state.Table.Format);
            attributes.Take(record);
            guard.Map.SetRange(MetadataKind.ZoneTable, _place, _stored.Length);
        }

        tables.Free(old, length);
    }

    /// <inheritdoc/>
    public ValueTask RestoreAttributesAsync() => attributes.RunAsync(record);

    private static byte[] Build(ZonedState state, ZoneRecord record)
    {
        var stored = new byte[record.Pointers.Length * ZoneTableFormat.EntrySize];
        for (int zone = 0; zone < record.Pointers.Length; zone++)
        {
            state.Table.Format.Write(
                stored.AsSpan(zone * ZoneTableFormat.EntrySize), record.Pointers[zone],
                conventional: !state.Zones.Geometry.IsSequential(zone));
        }

        return stored;
    }
}
