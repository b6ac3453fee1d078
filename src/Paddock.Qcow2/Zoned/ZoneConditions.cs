using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The READ ONLY and OFFLINE zones that an image keeps. A change writes the whole table into free clusters: conditions change
/// when a drive wears out, or in a test, and one byte per zone is little. Changed under the image's metadata mutex.
/// </summary>
internal sealed class ZoneConditions(ImageTables places, FlushOrder order, PaddockTables tables)
{
    private ZoneCondition[] _kept = [];
    private bool _hasTable;

    /// <summary>READ ONLY, OFFLINE, or 0 for a zone whose condition follows from its pointer.</summary>
    public ZoneCondition this[int zone] => zone < _kept.Length ? _kept[zone] : 0;

    /// <summary>Whether the image has a table.</summary>
    public bool HasAny => _hasTable;

    /// <summary>Reads the table, if there is one, and sets the zones' conditions; a faulty one is ignored with a warning.</summary>
    public async ValueTask LoadAsync(ZoneSet zones, CancellationToken cancellationToken)
    {
        var (offset, bytes) = (tables.Extension.ConditionOffset, tables.Extension.ConditionBytes);
        if (await tables.ReadAsync("zone condition table", offset, bytes, cancellationToken) is not { } table)
        {
            return;
        }

        var conditions = new ZoneCondition[zones.Count];
        if (!ZoneConditionTable.TryParse(table, conditions, out string? problem))
        {
            tables.Warn($"the zone condition table at {offset} is ignored: {problem}");
            return;
        }

        places.Register(offset, bytes);
        (_kept, _hasTable) = (conditions, true);
        for (int zone = 0; zone < zones.Count; zone++)
        {
            // a zone whose pointer is corrupt stays OFFLINE: what a READ ONLY one holds ends at its pointer
            if (conditions[zone] != 0 && zones.ConditionOf(zone) != ZoneCondition.Offline)
            {
                zones.SetFixed(zone, conditions[zone]);
            }
        }
    }

    /// <summary>Takes the conditions of a snapshot that is read.</summary>
    public void TakeRecord(ZoneRecord record, ZoneSet zones)
    {
        _kept = record.Conditions;
        for (int zone = 0; zone < Math.Min(_kept.Length, zones.Count); zone++)
        {
            if (_kept[zone] != 0)
            {
                zones.SetFixed(zone, _kept[zone]);
            }
        }
    }

    /// <summary>Keeps another condition for a zone, durably.</summary>
    /// <param name="zone">Which.</param>
    /// <param name="condition">READ ONLY, OFFLINE, or 0.</param>
    /// <param name="zoneCount">Zones on the disk.</param>
    public async ValueTask SetAsync(int zone, ZoneCondition condition, int zoneCount)
    {
        var next = new ZoneCondition[zoneCount];
        _kept.AsSpan(0, Math.Min(zoneCount, _kept.Length)).CopyTo(next);
        next[zone] = condition;
        await ReplaceAsync(next);
    }

    /// <summary>Keeps other conditions for all zones, durably.</summary>
    public async ValueTask ReplaceAsync(ZoneCondition[] next)
    {
        bool any = next.AsSpan().ContainsAnyExcept((ZoneCondition)0);
        if (!any && !_hasTable)
        {
            _kept = next;
            return;
        }

        var before = tables.Extension;
        var offset = any ? await PlaceAsync(ZoneConditionTable.Build(next)) : default;
        await tables.PutAsync(before with { ConditionZones = any ? (uint)next.Length : 0, ConditionOffset = offset });
        if (_hasTable)
        {
            places.Free(before.ConditionOffset, before.ConditionBytes);
        }

        (_kept, _hasTable) = (next, any);
    }

    private async ValueTask<HostOffset> PlaceAsync(byte[] table)
    {
        var offset = await places.PlaceAsync(table);
        try
        {
            await order.RunAsync();
            return offset;
        }
        catch
        {
            places.Free(offset, table.Length);
            throw;
        }
    }
}
