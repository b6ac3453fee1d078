using Paddock.Block;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// A reset of zones on its way to the storage. Memory follows only when it is durable. When it fails, the storage is read again, because a
/// write that reports a failure may have taken effect. Under the image's metadata mutex.
/// </summary>
internal sealed class ZoneReset(IStorage storage, ZonePointerTable table, ZoneExtensions extensions)
{
    private readonly List<(int Zone, ulong Entry)> _replaced = [];
    private List<int> _extended = [];

    /// <summary>Sectors of the zone table that it changes.</summary>
    public List<int> Sectors { get; private set; } = [];

    /// <summary>Sets the table's entries in memory, which nobody else looks at until the reset has ended.</summary>
    public void Begin(ZoneRange range, ZoneSet zones)
    {
        Sectors = table.CaptureReset(range.First, range.Last, zones, _replaced);
        _extended = extensions.FreshIn(range);
    }

    /// <summary>
    /// Makes it durable. One more attempt follows a failure, so that a transient one does not leave zones between two states.
    /// </summary>
    public async ValueTask WriteAsync()
    {
        if (Sectors.Count + _extended.Count == 0)
        {
            return;
        }

        try
        {
            await WriteOnceAsync();
        }
        catch (BlockException)
        {
            await WriteOnceAsync();
        }
    }

    /// <summary>
    /// After a failure: the zones whose reset has taken effect on the storage. The entries of the others are what they were.
    /// </summary>
    public async ValueTask<List<int>> FindDoneAsync(ZoneSet zones)
    {
        var done = new List<int>();
        foreach (var (zone, entry) in _replaced)
        {
            if (await HoldsAsync(table.IsStoredAsync(zone)))
            {
                done.Add(zone);
            }
            else
            {
                table.Restore(zone, entry);
            }
        }

        foreach (int zone in _extended)
        {
            if (zones.ConditionOf(zone) != ZoneCondition.Empty && await HoldsAsync(extensions.IsClearAsync(zone)) && !done.Contains(zone))
            {
                done.Add(zone);
            }
        }

        return done;
    }

    private static async ValueTask<bool> HoldsAsync(ValueTask<bool> question)
    {
        try
        {
            return await question;
        }
        catch (BlockException)
        {
            // not known: the zone stays as it was
            return false;
        }
    }

    private async ValueTask WriteOnceAsync()
    {
        await extensions.ClearAsync(_extended);
        await table.WriteAsync(Sectors);
        await storage.FlushAsync();
    }
}
