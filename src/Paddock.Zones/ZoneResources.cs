using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Open and active resources: their limits and the zones that hold them. Implicitly and explicitly open zones hold both kinds, CLOSED zones
/// an active one. Random write areas are counted too.
/// </summary>
internal sealed class ZoneResources
{
    private readonly uint _maxOpen;
    private readonly uint _maxActive;
    private readonly uint _maxAreas;
    private OpenList _implicit;

    /// <param name="maxOpen">Most open zones; 0 is "no limit".</param>
    /// <param name="maxActive">Most active zones; 0 is "no limit".</param>
    /// <param name="maxAreas">Most random write areas; 0 is "no limit".</param>
    /// <param name="zones">Number of zones.</param>
    public ZoneResources(uint maxOpen, uint maxActive, uint maxAreas, int zones)
    {
        _maxOpen = maxOpen;
        _maxActive = maxActive;
        _maxAreas = maxAreas;
        _implicit = new OpenList(zones);
    }

    /// <summary>Most open zones; 0 is "no limit".</summary>
    public uint MaxOpen => _maxOpen;

    /// <summary>Most active zones; 0 is "no limit".</summary>
    public uint MaxActive => _maxActive;

    /// <summary>Zones that a write opened.</summary>
    public int ImplicitlyOpen => _implicit.Count;

    /// <summary>Zones that a request opened.</summary>
    public int ExplicitlyOpen { get; private set; }

    /// <summary>Zones that are CLOSED.</summary>
    public int Closed { get; private set; }

    /// <summary>Open resources in use.</summary>
    public int Open => _implicit.Count + ExplicitlyOpen;

    /// <summary>Active resources in use.</summary>
    public int Active => _implicit.Count + ExplicitlyOpen + Closed;

    /// <summary>Random write areas in use.</summary>
    public int Areas { get; private set; }

    /// <summary>Whether more zones may get random write areas; images can hold more of them than the limit.</summary>
    public bool HasAreas(long more) => _maxAreas == 0 || Areas + more <= _maxAreas;

    /// <summary>Whether one more zone may become active.</summary>
    public bool HasActive => _maxActive == 0 || Active < _maxActive;

    /// <summary>
    /// The zone to close before another one can be opened; -1 if an open resource is free, or if no zone can be closed for it.
    /// </summary>
    public int Evictable => _maxOpen == 0 || Open < _maxOpen || _implicit.Count == 0 ? -1 : _implicit.First;

    /// <summary>Whether a zone in this condition, EMPTY or CLOSED, can be opened, by closing <see cref="Evictable"/> if need be.</summary>
    public ZoneError CheckOpen(ZoneCondition from)
        => from == ZoneCondition.Empty && !HasActive ? ZoneError.TooManyActive
            : _maxOpen != 0 && ExplicitlyOpen >= _maxOpen ? ZoneError.TooManyOpen
            : ZoneError.None;

    /// <summary>Acquires the resources of a zone in a condition.</summary>
    public void Take(int zone, ZoneCondition condition)
    {
        switch (condition)
        {
            case ZoneCondition.ImplicitlyOpen:
                _implicit.Add(zone);
                break;
            case ZoneCondition.ExplicitlyOpen:
                ExplicitlyOpen++;
                break;
            case ZoneCondition.Closed:
                Closed++;
                break;
        }
    }

    /// <summary>Frees the resources of a zone in a condition.</summary>
    public void Free(int zone, ZoneCondition condition)
    {
        switch (condition)
        {
            case ZoneCondition.ImplicitlyOpen:
                _implicit.Remove(zone);
                break;
            case ZoneCondition.ExplicitlyOpen:
                ExplicitlyOpen--;
                break;
            case ZoneCondition.Closed:
                Closed--;
                break;
        }
    }

    /// <summary>A zone gets a random write area, or loses it.</summary>
    public void CountArea(bool more) => Areas += more ? 1 : -1;

    /// <summary>An implicitly open zone is written: it becomes the last one to be evicted.</summary>
    public void Touch(int zone) => _implicit.Touch(zone);

    /// <summary>Frees everything.</summary>
    /// <param name="zones">Number of zones.</param>
    public void Clear(int zones)
    {
        _implicit = new OpenList(zones);
        ExplicitlyOpen = 0;
        Closed = 0;
        Areas = 0;
    }

    /// <summary>Sets the number of zones; removed zones must hold no resources.</summary>
    public void Resize(int zones) => _implicit.Resize(zones);
}
