using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Open and active resources, and the transitions that take them and give them back.</summary>
public sealed partial class ZoneSet
{
    /// <summary>Whether one zone in this condition, EMPTY or CLOSED, can be opened; an eviction may be needed
    /// (<see cref="MakeRoom"/>).</summary>
    private ZoneError CheckResources(ZoneCondition from)
        => from == ZoneCondition.Empty && _maxActive != 0 && ActiveCount >= _maxActive ? ZoneError.TooManyActive
            : _maxOpen != 0 && _explicit >= _maxOpen ? ZoneError.TooManyOpen
            : ZoneError.None;

    /// <summary>Closes the least recently written implicitly open zone when no open resource is free.</summary>
    /// <returns>The zone that was closed, or -1.</returns>
    private int MakeRoom()
    {
        if (_maxOpen == 0 || OpenCount < _maxOpen || _implicit.Count == 0)
        {
            return -1;
        }

        int zone = _implicit.First;
        MakeClosed(zone);
        return zone;
    }

    /// <summary>Gives back the resources of a zone, whose condition the caller then sets.</summary>
    private void Release(int zone)
    {
        switch (ConditionOf(zone))
        {
            case ZoneCondition.ImplicitlyOpen:
                _implicit.Remove(zone);
                break;
            case ZoneCondition.ExplicitlyOpen:
                _explicit--;
                break;
            case ZoneCondition.Closed:
                _closed--;
                break;
        }
    }

    private void MakeFull(int zone)
    {
        Release(zone);
        _pointers[zone] = _geometry.EndOf(zone);
        SetCondition(zone, ZoneCondition.Full);
    }

    private void MakeEmpty(int zone)
    {
        Release(zone);
        _flags[zone] &= (byte)~ZoneFlags.Extended;
        _pointers[zone] = _geometry.StartOf(zone);
        SetCondition(zone, ZoneCondition.Empty);
    }

    /// <summary>CLOSED, or EMPTY where nothing is written and no extension is set; a busy zone keeps its active resource for what is on its way.</summary>
    private void MakeClosed(int zone)
    {
        Release(zone);
        if (_pointers[zone] == _geometry.StartOf(zone) && !IsBusy(zone) && !IsExtended(zone))
        {
            SetCondition(zone, ZoneCondition.Empty);
            return;
        }

        SetCondition(zone, ZoneCondition.Closed);
        _closed++;
    }

    private void MakeExplicitlyOpen(int zone)
    {
        Release(zone);
        SetCondition(zone, ZoneCondition.ExplicitlyOpen);
        _explicit++;
    }
}
