using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Sim;

/// <summary>
/// A persistent bitmap of a zoned disk over several sessions: every sector that differs from what it held when the bitmap was cleared has a
/// bit, unless the bitmap is inconsistent.
/// </summary>
/// <param name="start">Contents when the bitmap was added.</param>
/// <param name="zoneSize">Bytes of a zone.</param>
/// <param name="firstZone">Number of conventional zones.</param>
internal sealed class BitmapWatch(ZonedContents start, long zoneSize, int firstZone)
{
    private const int Sector = SectorPattern.Sector;
    private const string Name = "kept";

    private readonly List<(int From, int By, long[] Base)> _stored = [];
    private long[] _base = Sectors(start, zoneSize, firstZone);

    /// <summary>Adds the bitmap.</summary>
    public static ValueTask AddAsync(IQcow2Device device, Random random) => device.Bitmaps.AddAsync(Name, 512L << random.Next(8));

    /// <summary>Clears the bitmap. What was written is durable.</summary>
    public async Task ClearAsync(IQcow2Device device, ZonedContents now)
    {
        await device.Bitmaps.ClearAsync(Name);
        _base = Sectors(now, zoneSize, firstZone);
    }

    /// <summary>Records the end of a session.</summary>
    /// <param name="from">Log length before the image was closed.</param>
    /// <param name="by">Log length afterwards.</param>
    public void Closed(int from, int by) => _stored.Add((from, by, [.. _base]));

    /// <summary>Throws unless the bitmap may be like this after a cut.</summary>
    public async Task CheckAsync(IQcow2Device device, FoundDisk found, int position)
    {
        var info = device.Bitmaps.List.FirstOrDefault(static b => b.Name == Name);
        bool isQuiet = _stored.Exists(s => s.By == position);
        SimFailure.Unless(
            info is not null ? !(isQuiet && info.InUse) : position < _stored[0].By, $"the bitmap is {info} after a cut at {position}");
        if (info is not { InUse: false })
        {
            return;
        }

        var bitmap = await device.Bitmaps.OpenAsync(Name);
        long[]?[] zones = [.. found.Zones.Select(static z => z.Versions.Length == 0 ? null : z.Versions)];
        long[] now = Join(found.Length, found.Conventional, zones, zoneSize, firstZone);
        var missing = _stored.Where((s, i) => s.From < position && (i + 1 == _stored.Count || _stored[i + 1].By >= position))
            .Select(s => FirstMissing(now, bitmap, s.Base)).ToList();
        SimFailure.Unless(missing.Contains(-1), $"after a cut at {position} sector {missing.FirstOrDefault()} has changed and has no bit");
    }

    private static int FirstMissing(long[] now, IDirtyBitmap bitmap, long[] then)
    {
        for (int sector = 0; sector < now.Length; sector++)
        {
            long before = sector < then.Length ? then[sector] : 0;
            if (now[sector] != before && now[sector] >= 0 && !bitmap.Find((long)sector * Sector, 1).IsDirty)
            {
                return sector;
            }
        }

        return -1;
    }

    private static long[] Sectors(ZonedContents contents, long zoneSize, int firstZone)
        => Join(
            contents.Length, Longs(contents.Conventional!), [.. contents.Zones.Select(static z => Longs(z!.Versions))], zoneSize,
            firstZone);

    private static long[] Longs(uint[] versions) => [.. versions.Select(static v => (long)v)];

    // an OFFLINE zone cannot be read: its sectors are -1, and are not compared
    private static long[] Join(long length, long[] conventional, long[]?[] zones, long zoneSize, int firstZone)
    {
        var sectors = new long[length / Sector];
        conventional.CopyTo(sectors, 0);
        for (int i = 0; i < zones.Length; i++)
        {
            long first = (firstZone + i) * zoneSize / Sector;
            sectors.AsSpan((int)first, (int)Math.Min(zoneSize / Sector, sectors.Length - first)).Fill(zones[i] is null ? -1 : 0);
            zones[i]?.CopyTo(sectors, (firstZone + i) * zoneSize / Sector);
        }

        return sectors;
    }
}
