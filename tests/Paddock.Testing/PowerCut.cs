namespace Paddock.Testing;

/// <summary>
/// Builds the contents of a disk after a power cut at given moments of a log. Changes covered by a completed flush are present. Any subset
/// of the remaining steps is kept, dropped or torn at 512-byte sectors, by seed. Moments must be in ascending order: the durable part is
/// updated incrementally.
/// </summary>
/// <param name="log">Log of the changes to the disk.</param>
public sealed class PowerCut(StorageLog log)
{
    private const int Sector = 512;

    private readonly PagedStorage _durable = log.Start.Clone();
    private readonly HashSet<int> _settled = [];
    private int _applied;
    private int _covered;
    private int _seen;

    private enum Style
    {
        KeepAll,
        KeepNone,
        KeepPrefix,
        DropOne,
        KeepOne,
        Half,
        Torn,
    }

    /// <summary>Returns the contents after a cut following the first <paramref name="position"/> log entries.</summary>
    public PagedStorage At(int position, int seed)
    {
        Advance(position);
        var image = _durable.Clone("after a power cut");
        var random = new Random(seed);
        var style = (Style)random.Next(7);
        int unsynced = position - _covered;
        int chosen = unsynced > 0 ? random.Next(unsynced) : 0;
        for (int i = _covered; i < position; i++)
        {
            bool torn = false;
            bool keep = _settled.Contains(i) || style switch
            {
                Style.KeepAll => true,
                Style.KeepNone => false,
                Style.KeepPrefix => i - _covered <= chosen,
                Style.DropOne => i - _covered != chosen,
                Style.KeepOne => i - _covered == chosen,
                Style.Half => random.Next(2) == 0,
                _ => !(torn = random.Next(3) == 0) && random.Next(3) != 0,
            };
            var entry = log[i];
            if (keep)
            {
                StorageLog.Apply(image, entry);
            }
            else if (torn && !entry.IsAtomic)
            {
                Tear(image, entry, random);
            }
            else if (entry.Step == StorageStep.Write && entry.Offset + entry.Length > image.Length && random.Next(2) == 0)
            {
                // the file system may have extended the file before its data arrived
                image.SetLength(entry.Offset + entry.Length);
            }
        }

        return image;
    }

    private static void Tear(PagedStorage image, in StorageLogEntry entry, Random random)
    {
        if (entry.Step is StorageStep.SetLength or StorageStep.Sync or StorageStep.Settle)
        {
            return;
        }

        for (long at = 0; at < entry.Length;)
        {
            // a sector is written completely or not at all
            long next = Math.Min(((entry.Offset + at) / Sector * Sector) + Sector - entry.Offset, entry.Length);
            if (random.Next(2) == 0)
            {
                byte[]? data = entry.Data?[(int)at..(int)next];
                StorageLog.Apply(image, entry with { Offset = entry.Offset + at, Length = next - at, Data = data });
            }

            at = next;
        }
    }

    private void Advance(int position)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(position, _seen);
        for (; _seen < position; _seen++)
        {
            if (log[_seen].Step == StorageStep.Sync)
            {
                _covered = Math.Max(_covered, (int)log[_seen].Offset);
            }
            else if (log[_seen].Step == StorageStep.Settle)
            {
                _settled.Add((int)log[_seen].Offset);
            }
        }

        for (; _applied < _covered; _applied++)
        {
            StorageLog.Apply(_durable, log[_applied]);
        }
    }
}
