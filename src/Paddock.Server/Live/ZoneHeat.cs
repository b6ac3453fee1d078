namespace Paddock.Server.Live;

/// <summary>
/// Reads, writes and resets of each zone, and the zones that requests have touched since the last look. All members are thread-safe.
/// </summary>
/// <param name="zones">Number of zones.</param>
/// <param name="zoneSize">Bytes from one zone's start to the next.</param>
internal sealed class ZoneHeat(int zones, long zoneSize)
{
    private readonly uint[] _reads = new uint[zones], _writes = new uint[zones], _resets = new uint[zones];
    private readonly uint[] _touched = new uint[(zones + 31) / 32];

    /// <summary>Number of zones.</summary>
    public int Zones => zones;

    /// <summary>Number of words of <see cref="TakeTouched"/>.</summary>
    public int Words => _touched.Length;

    /// <summary>Reads of a zone.</summary>
    public uint Reads(int zone) => Volatile.Read(ref _reads[zone]);

    /// <summary>Writes of a zone, appends included.</summary>
    public uint Writes(int zone) => Volatile.Read(ref _writes[zone]);

    /// <summary>Resets of a zone.</summary>
    public uint Resets(int zone) => Volatile.Read(ref _resets[zone]);

    /// <summary>Counts a completed request in each zone that it touched.</summary>
    public void Count(LiveOperation operation, long offset, long length)
    {
        if (operation is LiveOperation.Flush or LiveOperation.Report || offset < 0)
        {
            return;
        }

        uint[]? counts = operation switch
        {
            LiveOperation.Read => _reads,
            LiveOperation.Write or LiveOperation.Append or LiveOperation.Zeroes => _writes,
            LiveOperation.Reset => _resets,
            _ => null,
        };
        long last = Math.Min((offset + Math.Max(length, 1) - 1) / zoneSize, zones - 1);
        for (long zone = offset / zoneSize; zone <= last; zone++)
        {
            if (counts is not null)
            {
                Interlocked.Increment(ref counts[zone]);
            }

            // after the count: a zone that is taken as touched shows it
            Touch((int)zone);
        }
    }

    /// <summary>The touched zones of 32, as bits; they count as untouched from then on.</summary>
    /// <param name="word">Index of the first zone, divided by 32.</param>
    public uint TakeTouched(int word)
        => Volatile.Read(ref _touched[word]) == 0 ? 0 : Interlocked.Exchange(ref _touched[word], 0);

    /// <summary>Takes over the counts of a disk that had another size; a request that is being counted meanwhile may be missed.</summary>
    public void CopyFrom(ZoneHeat before)
    {
        int common = Math.Min(zones, before.Zones);
        Array.Copy(before._reads, _reads, common);
        Array.Copy(before._writes, _writes, common);
        Array.Copy(before._resets, _resets, common);
    }

    private void Touch(int zone)
    {
        uint bit = 1u << (zone & 31);
        ref uint word = ref _touched[zone >> 5];
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            Interlocked.Or(ref word, bit);
        }
    }
}
