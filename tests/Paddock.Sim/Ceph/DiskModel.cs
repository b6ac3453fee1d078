using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>
/// Shape of a disk. A plain one is divided into parts like conventional zones, so that clients share clusters but no sector.
/// </summary>
/// <param name="Size">Bytes.</param>
/// <param name="ZoneSize">Bytes of a zone.</param>
/// <param name="Capacity">Writable bytes of a sequential zone.</param>
/// <param name="Conventional">Zones, from the first on, that are written anywhere.</param>
internal sealed record DiskShape(long Size, long ZoneSize, long Capacity, int Conventional)
{
    /// <summary>Number of zones.</summary>
    public int Zones => (int)((Size + ZoneSize - 1) / ZoneSize);

    /// <summary>First byte of a zone.</summary>
    public long StartOf(int zone) => zone * ZoneSize;

    /// <summary>Bytes of a zone.</summary>
    public long LengthOf(int zone) => Math.Min(ZoneSize, Size - StartOf(zone));

    /// <summary>Writable bytes of a zone.</summary>
    public long CapacityOf(int zone) => Math.Min(zone < Conventional ? ZoneSize : Capacity, Size - StartOf(zone));
}

/// <summary>
/// What a disk must hold: of each zone, what one owner after the other was asked to do. What a new owner finds must follow from what the
/// previous one was asked and has acknowledged, as after a power cut; from then on it is the truth.
/// </summary>
internal sealed class DiskModel
{
    private const int Sector = SectorPattern.Sector;

    // later than everything that was acknowledged: what an owner has acknowledged was durable before it was fenced
    private const int Ever = int.MaxValue - 1;

    private readonly DiskShape _shape;
    private readonly ZonePast[] _zones;
    private readonly Dictionary<int, Timeline> _timelines = [];
    private readonly List<(ZonePast Past, FoundZone Found)> _judged = [];
    private readonly Func<int> _position;
    private uint _version = 1;

    /// <param name="shape">Shape of the disk.</param>
    /// <param name="start">Version of each sector of a plain disk; null: zeroes.</param>
    /// <param name="position">Tells the time.</param>
    public DiskModel(DiskShape shape, uint[]? start, Func<int> position)
    {
        (_shape, _position) = (shape, position);
        _zones = new ZonePast[shape.Zones];
        for (int zone = 0; zone < _zones.Length; zone++)
        {
            int first = (int)(shape.StartOf(zone) / Sector), count = (int)(shape.LengthOf(zone) / Sector);
            _zones[zone] = new ZonePast(0, TimelineOf(0), zone < shape.Conventional ? null : new ZoneLine(ZoneContents.Empty),
                zone < shape.Conventional ? new SectorHistory(start is null ? new uint[count] : start[first..(first + count)]) : null);
        }
    }

    /// <summary>Whether an answer came from an owner after another one had taken over.</summary>
    public bool HasLateAnswers { get; set; }

    /// <summary>A version that nothing has been written with.</summary>
    public uint NextVersion() => ++_version;

    /// <summary>What a zone was asked to do by its last owner.</summary>
    public ZonePast this[int zone] => _zones[zone];

    /// <summary>The requests to an owner.</summary>
    public Timeline TimelineOf(int generation)
    {
        if (!_timelines.TryGetValue(generation, out var timeline))
        {
            _timelines[generation] = timeline = new Timeline(_position);
        }

        return timeline;
    }

    /// <summary>Judges what a new owner finds in a zone.</summary>
    /// <exception cref="SimFailure">It cannot be what the previous owner left.</exception>
    public void Judge(int zone, int generation, in FoundZone found)
    {
        var past = _zones[zone];
        Check(past, found);
        _judged.Add((past, found));
        _zones[zone] = new ZonePast(
            generation, TimelineOf(generation), past.Line is null ? null : new ZoneLine(ContentsOf(found)),
            past.Sectors is null ? null : new SectorHistory([.. found.Versions.Select(static version => (uint)version)]));
        if (past.Appending != 0 && !found.Versions.Contains(past.Appending))
        {
            // it has not landed, so it must not land any more: sent again, there is one of it
            _zones[zone].Resend = past.Appending;
        }
    }

    /// <summary>Checks the latest owner's zone without replacing it.</summary>
    public void Check(int zone, in FoundZone found) => Check(_zones[zone], found);

    /// <summary>Judges everything again that was found before answers came late.</summary>
    public void JudgeAgain()
    {
        foreach (var (past, found) in _judged)
        {
            Check(past, found);
        }
    }

    /// <summary>Throws unless reading returned what was acknowledged.</summary>
    public void CheckNow(int zone, in FoundZone found)
    {
        var past = _zones[zone];
        string? wrong = past.Line?.Now!.Mismatch(found);
        SimFailure.Unless(wrong is null, $"zone {zone}: {wrong}");
        for (int sector = 0; sector < past.Sectors?.Sectors; sector++)
        {
            past.Sectors.CheckNow(sector, found.Versions[sector]);
        }
    }

    private static void Check(ZonePast past, in FoundZone found)
    {
        past.Timeline.Seal();
        past.Line?.CheckAfterCut(found, Ever);
        for (int sector = 0; sector < past.Sectors?.Sectors; sector++)
        {
            past.Sectors.CheckAfterCut(sector, found.Versions[sector], Ever);
        }

        if (past.Line is not null)
        {
            CheckOnce(found);
        }
    }

    private static void CheckOnce(in FoundZone found)
    {
        var seen = new HashSet<long>();
        long before = 0;
        foreach (long version in found.Versions)
        {
            bool isNew = version == before || version == 0 || seen.Add(version);
            SimFailure.Unless(isNew, $"zone at {found.Descriptor.Start}: version {version} is there twice");
            before = version;
        }
    }

    private static ZoneContents ContentsOf(in FoundZone found)
    {
        bool isFull = found.Descriptor.Condition == ZoneCondition.Full;
        int count = isFull ? Array.FindLastIndex(found.Versions, static version => version != 0) + 1
            : (int)((found.Descriptor.WritePointer - found.Descriptor.Start) / Sector);
        return new ZoneContents([.. found.Versions.Take(count).Select(static version => (uint)version)], isFull, 0, 0);
    }
}

/// <summary>What one owner was asked to do to a zone.</summary>
/// <param name="generation">The owner.</param>
/// <param name="timeline">Its requests.</param>
/// <param name="line">History of a sequential zone.</param>
/// <param name="sectors">History of a conventional zone.</param>
internal sealed class ZonePast(int generation, Timeline timeline, ZoneLine? line, SectorHistory? sectors)
{
    public int Generation => generation;

    public Timeline Timeline => timeline;

    public ZoneLine? Line => line;

    public SectorHistory? Sectors => sectors;

    /// <summary>Version of an append without an answer; 0: none.</summary>
    public uint Appending { get; set; }

    /// <summary>Version of an append that has not landed and is sent again; 0: none.</summary>
    public uint Resend { get; set; }
}
