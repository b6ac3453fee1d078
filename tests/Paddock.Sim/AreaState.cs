using Paddock.Block;

namespace Paddock.Sim;

/// <summary>State of a zone that can have a random write area, as it is after an operation.</summary>
/// <param name="Epoch">Number of resets before it.</param>
/// <param name="Pointer">Write pointer, in bytes from the start of the zone.</param>
/// <param name="HasArea">Whether it has an area.</param>
/// <param name="IsFull">Whether it is FULL.</param>
/// <param name="Versions">Version of each sector that was written, whether it can be read or not.</param>
/// <param name="Others">Version that a write that failed may have left instead; 0: none has.</param>
internal sealed record AreaState(int Epoch, long Pointer, bool HasArea, bool IsFull, uint[] Versions, uint[] Others)
{
    private const int Sector = SectorPattern.Sector;

    /// <summary>An EMPTY zone.</summary>
    public static AreaState Empty(int epoch, long length)
        => new(epoch, 0, false, false, new uint[length / Sector], new uint[length / Sector]);

    /// <summary>Where the zone's data end.</summary>
    public long DataEnd(in RandomAreaLimits area, long capacity)
        => IsFull ? capacity : HasArea ? Math.Min(Pointer + area.Size, capacity) : Pointer;

    /// <summary>
    /// After a write; one that failed has moved no pointer, and may have left its data in the area. Above it they must not show up later.
    /// </summary>
    public AreaState Write(long at, int length, uint version, bool failed, in RandomAreaLimits area, long capacity)
    {
        var (versions, others) = ((uint[])Versions.Clone(), (uint[])Others.Clone());
        for (long sector = at / Sector; sector < (at + length) / Sector; sector++)
        {
            if (failed)
            {
                others[sector] = sector * Sector < DataEnd(area, capacity) ? version : 0;
            }
            else
            {
                (versions[sector], others[sector]) = (version, 0);
            }
        }

        long pointer = failed ? Pointer : HasArea ? Pointer : at + length;
        while (!failed && HasArea && pointer + area.Size < at + length)
        {
            pointer += area.Granularity;
        }

        return (this with { Versions = versions, Others = others }).Move(Math.Min(pointer, capacity), capacity);
    }

    /// <summary>After a commit.</summary>
    public AreaState Move(long pointer, long capacity)
        => pointer < capacity ? this with { Pointer = pointer } : this with { Pointer = capacity, HasArea = false, IsFull = true };

    /// <summary>After a finish: what was not data reads as zeroes.</summary>
    public AreaState Finish(in RandomAreaLimits area, long capacity)
    {
        var (versions, others) = ((uint[])Versions.Clone(), (uint[])Others.Clone());
        int end = (int)(DataEnd(area, capacity) / Sector);
        versions.AsSpan(end).Clear();
        others.AsSpan(end).Clear();
        return this with { HasArea = false, IsFull = true, Versions = versions, Others = others };
    }

    /// <summary>Whether a report shows this state.</summary>
    public bool Matches(in ZoneDescriptor zone)
        => (zone.Condition == ZoneCondition.Full) == IsFull && zone.HasRandomArea == HasArea
            && (IsFull || zone.WritePointer - zone.Start == Pointer);

    /// <summary>The state in a message.</summary>
    public string Describe() => $"{Epoch}:{Pointer}{(HasArea ? "+area" : "")}{(IsFull ? " full" : "")}";
}
