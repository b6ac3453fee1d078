using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>Condition, bytes written and traffic of each zone at one time.</summary>
internal sealed class PastZones
{
    /// <summary>Condition of zones that have not been seen, because another server owns the image.</summary>
    public const byte Unknown = 255;

    private readonly byte[] _condition;
    private readonly long[] _written;
    private readonly uint[] _writes, _resets, _reads;

    /// <param name="count">Number of zones.</param>
    public PastZones(int count)
        : this(new byte[count], new long[count], new uint[count], new uint[count], new uint[count])
    {
    }

    private PastZones(byte[] condition, long[] written, uint[] writes, uint[] resets, uint[] reads)
        => (_condition, _written, _writes, _resets, _reads) = (condition, written, writes, resets, reads);

    /// <summary>Number of zones.</summary>
    public int Count => _condition.Length;

    /// <summary>The look at which the zones were so.</summary>
    public uint Stamp { get; private set; }

    /// <summary>The zones of a disk as last seen.</summary>
    public static PastZones Of(LiveDisk disk, uint stamp)
    {
        var (table, heat) = (disk.Zones!.Table, disk.Disk.Meter.Heat);
        var zones = new PastZones([.. table.Condition], [.. table.Written], new uint[table.Zones], new uint[table.Zones],
            new uint[table.Zones]) { Stamp = stamp };
        for (int zone = 0; zone < table.Zones; zone++)
        {
            if (Volatile.Read(ref table.Stamp[zone]) == 0)
            {
                zones._condition[zone] = Unknown;
            }
        }

        for (int zone = 0; zone < Math.Min(table.Zones, heat?.Zones ?? 0); zone++)
        {
            zones._writes[zone] = heat!.Writes(zone);
            zones._resets[zone] = heat.Resets(zone);
            zones._reads[zone] = heat.Reads(zone);
        }

        return zones;
    }

    /// <summary>Condition of each zone, as its number in reports, or <see cref="Unknown"/>.</summary>
    public ReadOnlyMemory<byte> Condition => _condition;

    /// <summary>Bytes written of a zone.</summary>
    public long Written(int zone) => _written[zone];

    /// <summary>Writes of a zone.</summary>
    public uint Writes(int zone) => _writes[zone];

    /// <summary>Resets of a zone.</summary>
    public uint Resets(int zone) => _resets[zone];

    /// <summary>Reads of a zone.</summary>
    public uint Reads(int zone) => _reads[zone];

    /// <summary>A copy.</summary>
    public PastZones Copy() => Resized(Count);

    /// <summary>A copy with another number of zones.</summary>
    public PastZones Resized(int count)
    {
        var (condition, written, writes, resets, reads) = (_condition[..], _written[..], _writes[..], _resets[..], _reads[..]);
        Array.Resize(ref condition, count);
        condition.AsSpan(Math.Min(Count, count)).Fill(Unknown);
        Array.Resize(ref written, count);
        Array.Resize(ref writes, count);
        Array.Resize(ref resets, count);
        Array.Resize(ref reads, count);
        return new PastZones(condition, written, writes, resets, reads) { Stamp = Stamp };
    }

    /// <summary>Applies what a frame changed.</summary>
    public void Apply(LiveFrame frame)
    {
        Stamp = frame.Stamp;
        foreach (var disk in frame.Disks)
        {
            for (int run = 0; run < disk.Zones.Count; run += LiveDiskFrame.RunLength)
            {
                Apply(disk.Zones, run);
            }
        }
    }

    private void Apply(IReadOnlyList<long> runs, int at)
    {
        for (long zone = runs[at]; zone < Math.Min(runs[at] + runs[at + 1], Count); zone++)
        {
            _condition[zone] = (byte)runs[at + 2];
            _written[zone] = runs[at + 3];
            _writes[zone] = (uint)runs[at + 4];
            _resets[zone] = (uint)runs[at + 5];
            _reads[zone] = (uint)runs[at + 6];
        }
    }
}
