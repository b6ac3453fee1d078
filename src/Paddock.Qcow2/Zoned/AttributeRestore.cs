using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Gives zones the conditions and descriptor extensions of a snapshot that is applied. They are in other sectors than the header that
/// switches the disk, so the header names the snapshot's zone record before (<see cref="RestoreExtension"/>): after a power cut, the next
/// opening takes them from there. Under the image's metadata mutex.
/// </summary>
internal sealed class AttributeRestore(
    ZonedState state, IStorage storage, ImageHeader header, PaddockTables paddock, FlushOrder order, ZoneConditions conditions,
    ZoneExtensions extensions)
{
    /// <summary>Whether the header names a record that it must not name any longer.</summary>
    public bool IsDue { get; private set; }

    /// <summary>Names the record, durably, unless neither the disk nor the snapshot has anything but write pointers.</summary>
    public async ValueTask AnnounceAsync(HostOffset l1Offset, SnapshotZones place, ZoneRecord record)
    {
        bool isPlain = !conditions.HasAny && !extensions.HasAny && record.Extensions.Count == 0
            && !record.Conditions.AsSpan().ContainsAnyExcept((ZoneCondition)0);
        if (isPlain)
        {
            return;
        }

        if (header.Find(HeaderExtension.Paddock) is null)
        {
            // added before, so that the one to be removed again is the last
            await paddock.PutAsync(paddock.Extension);
        }

        await header.PutAsync(new RestoreExtension(l1Offset, place).ToHeader());
    }

    /// <summary>The disk was not switched: the next flush removes the name of the record.</summary>
    public void Abandon() => IsDue = IsAnnounced;

    /// <summary>Memory follows the header: zones are those of the record, without their extensions. Under the state's lock.</summary>
    public void Take(ZoneRecord record)
    {
        for (int zone = 0; zone < record.Pointers.Length; zone++)
        {
            SetZone(record, zone, extended: false);
        }

        // those of zones too that the smaller disk does not have: it may grow again
        extensions.TakeReset(new(0, int.MaxValue));
    }

    /// <summary>Makes conditions and extensions those of the record, durably, and then removes its name.</summary>
    public async ValueTask RunAsync(ZoneRecord record)
    {
        try
        {
            await conditions.ReplaceAsync(record.Conditions);
            foreach (var (zone, data) in record.Extensions)
            {
                await extensions.WriteAsync(zone, data, record.Pointers.Length);
                lock (state.Lock)
                {
                    SetZone(record, zone, extended: true);
                }
            }

            // clears the extensions of the previous disk
            await order.RunAsync();
        }
        catch
        {
            TakeStored(record);
            throw;
        }
        finally
        {
            // after a failure too: what clients change from here on must not be replaced by the next opening
            Abandon();
        }

        await SettleAsync();
    }

    /// <summary>Removes the name of the record.</summary>
    public async ValueTask SettleAsync()
    {
        if (IsDue)
        {
            await header.RemoveAsync(RestoreExtension.Type);
            IsDue = false;
        }
    }

    /// <summary>Ends an apply that a power cut has interrupted.</summary>
    /// <param name="record">The record; null: the disk was not switched.</param>
    public async ValueTask EndInterruptedAsync(ZoneRecord? record)
    {
        if (record is null)
        {
            Abandon();
            await SettleAsync();
            return;
        }

        lock (state.Lock)
        {
            Take(record);
        }

        await RunAsync(record);
    }

    /// <summary>Whether the header names a record.</summary>
    public bool IsAnnounced => header.Find(RestoreExtension.Type) is not null;

    /// <summary>The record that a power cut has left to be restored; null: none.</summary>
    public async ValueTask<ZoneRecord?> FindAsync(CancellationToken cancellationToken)
    {
        if (header.Find(RestoreExtension.Type) is not { } found
            || RestoreExtension.Parse(found.Data, header.Geometry.ClusterSize) is not { } restore
            || restore.L1Offset.Value != (long)header.Fields.L1Offset)
        {
            return null;
        }

        try
        {
            var record = await ZoneSnapshots.ReadRecordAsync(
                storage, restore.Record, "that is being applied", state.Zones.Geometry.ZoneSize, cancellationToken);
            return Fits(record) ? record : null;
        }
        catch (BlockException e)
        {
            paddock.Warn($"zones keep their conditions and descriptor extensions: {e.Message}");
            return null;
        }
    }

    private bool Fits(ZoneRecord record)
    {
        bool fits = record.Pointers.Length == state.Zones.Count
            && (record.Extensions.Count == 0 || record.ExtensionBytes == extensions.Bytes);
        for (int zone = 0; fits && zone < record.Pointers.Length; zone++)
        {
            fits = !state.Zones.Geometry.IsSequential(zone)
                || (state.Table.IsValid(zone, state.Zones) && state.Table.PointerOf(zone, state.Zones) == record.Pointers[zone]);
        }

        return fits;
    }

    // after a failure: zones have the conditions that the image keeps, and the extensions that were written
    private void TakeStored(ZoneRecord record)
    {
        lock (state.Lock)
        {
            for (int zone = 0; zone < record.Pointers.Length; zone++)
            {
                state.Zones.SetLoaded(zone, record.Pointers[zone], extensions.IsKept(zone));
                if (conditions[zone] != 0)
                {
                    state.Zones.SetFixed(zone, conditions[zone]);
                }
            }
        }
    }

    private void SetZone(ZoneRecord record, int zone, bool extended)
    {
        state.Zones.SetLoaded(zone, record.Pointers[zone], extended);
        if (record.Conditions[zone] != 0)
        {
            state.Zones.SetFixed(zone, record.Conditions[zone]);
        }
    }
}
