using Paddock.Block;

namespace Paddock.Sim;

/// <summary>Contents of a sequential zone.</summary>
/// <param name="Versions">Version of each sector up to the write pointer, or up to where a finished zone was written.</param>
/// <param name="IsFull">Whether the zone is FULL.</param>
/// <param name="Fixed">READ ONLY or OFFLINE; 0: neither.</param>
/// <param name="Extension">Version of the descriptor extension; 0: none.</param>
internal sealed record ZoneContents(uint[] Versions, bool IsFull, ZoneCondition Fixed, uint Extension)
{
    private const int Sector = SectorPattern.Sector;

    public static ZoneContents Empty { get; } = new([], false, 0, 0);

    public long Written => Versions.Length * (long)Sector;

    /// <summary>Why a zone does not have these contents; null: it has.</summary>
    public string? Mismatch(in FoundZone found)
    {
        var zone = found.Descriptor;
        if (found.Extension != Extension)
        {
            return $"its extension is of version {found.Extension}, not {Extension}";
        }

        var expected = Fixed != 0 ? Fixed
            : IsFull ? ZoneCondition.Full
            : Versions.Length > 0 || Extension != 0 ? ZoneCondition.Closed : ZoneCondition.Empty;
        bool isOpen = expected is ZoneCondition.Closed or ZoneCondition.Empty && found.MayBeOpen
            && zone.Condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen;
        if (zone.Condition != expected && !isOpen)
        {
            return $"it is {zone.Condition}, not {expected}";
        }

        if (Fixed == ZoneCondition.Offline)
        {
            return null;
        }

        if (Fixed == 0 && !IsFull && zone.WritePointer - zone.Start != Written)
        {
            return $"its pointer is {zone.WritePointer - zone.Start}, not {Written}";
        }

        for (int i = 0; i < found.Versions.Length; i++)
        {
            long version = i < Versions.Length ? Versions[i] : 0;
            if (found.Versions[i] != version)
            {
                return $"sector {i} is of version {found.Versions[i]}, not {version}";
            }
        }

        return null;
    }

    /// <summary>These contents, written up to some sector only.</summary>
    public ZoneContents Until(long sectors) => this with { Versions = Versions[..(int)sectors], IsFull = false };
}

/// <summary>A sequential zone as it is found.</summary>
/// <param name="Descriptor">Its descriptor.</param>
/// <param name="Versions">Version of each of its sectors; none if it is OFFLINE.</param>
/// <param name="Extension">Version of its descriptor extension; 0: none.</param>
/// <param name="MayBeOpen">Whether the device has been open before.</param>
internal readonly record struct FoundZone(ZoneDescriptor Descriptor, long[] Versions, uint Extension, bool MayBeOpen);

/// <summary>History of a sequential zone between two changes of the whole disk.</summary>
/// <param name="start">Durable contents at its start; null: not known.</param>
internal sealed class ZoneLine(ZoneContents? start)
{
    private readonly List<(TimedOp Op, ZoneContents After, bool IsWrite)> _events = [];
    private readonly ZoneContents? _start = start;

    /// <summary>Contents now, of acknowledged requests; null: not known, after a failure.</summary>
    public ZoneContents? Now { get; private set; } = start;

    /// <summary>Records a request in flight; it takes effect with <see cref="Done"/>.</summary>
    public void Begin(TimedOp op, ZoneContents after, bool isWrite = false) => _events.Add((op, after, isWrite));

    /// <summary>The last request was acknowledged.</summary>
    public void Done() => Now = _events[^1].After;

    /// <summary>The last request has failed.</summary>
    public void Lose() => Now = null;

    /// <summary>Throws unless the zone may be like this after a cut: as after one of the requests that may be durable.</summary>
    public void CheckAfterCut(in FoundZone found, int position)
    {
        int durable = _events.FindLastIndex(e => e.Op.DurablePosition <= position && !e.Op.Refused);
        var contents = durable < 0 ? _start! : _events[durable].After;
        string why = "";
        if (Fits(contents, found, ref why))
        {
            return;
        }

        for (int i = durable + 1; i < _events.Count; i++)
        {
            var (op, after, isWrite) = _events[i];
            if (!op.StartedBy(position))
            {
                continue;
            }

            long sectors = (found.Descriptor.WritePointer - found.Descriptor.Start) / SectorPattern.Sector;
            bool isPart = isWrite && sectors > contents.Versions.Length && sectors < after.Versions.Length;
            if (Fits(isPart ? after.Until(sectors) : after, found, ref why))
            {
                return;
            }

            contents = after;
        }

        throw new SimFailure($"zone at {found.Descriptor.Start} after a cut at {position}:{why}");
    }

    private static bool Fits(ZoneContents contents, in FoundZone found, ref string why)
    {
        string? wrong = contents.Mismatch(found);
        why += wrong is null ? "" : $" [{contents.Versions.Length} sectors: {wrong}]";
        return wrong is null;
    }
}
