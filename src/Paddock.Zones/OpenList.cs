namespace Paddock.Zones;

/// <summary>
/// Implicitly open zones in the order of their last write, least recent first: a doubly linked list in two arrays, so that
/// moving a zone to the end costs the same on a disk of eight zones and of a million, and allocates nothing.
/// </summary>
internal struct OpenList
{
    private const int None = -1;

    // Entries of zones that are not in the list are undefined: the condition of a zone shows whether it is in it, so nothing clears them.
    private int[] _next;
    private int[] _previous;
    private int _tail;

    public OpenList(int zones)
    {
        _next = GC.AllocateUninitializedArray<int>(zones);
        _previous = GC.AllocateUninitializedArray<int>(zones);
        First = None;
        _tail = None;
        Count = 0;
    }

    /// <summary>The least recently written zone; -1 when the list is empty.</summary>
    public int First { get; private set; }

    /// <summary>Number of zones in the list.</summary>
    public int Count { get; private set; }

    /// <summary>Adds a zone that is not in the list, as the most recently written.</summary>
    public void Add(int zone)
    {
        _next[zone] = None;
        _previous[zone] = _tail;
        if (_tail == None)
        {
            First = zone;
        }
        else
        {
            _next[_tail] = zone;
        }

        _tail = zone;
        Count++;
    }

    /// <summary>Takes out a zone that is in the list.</summary>
    public void Remove(int zone)
    {
        int next = _next[zone], previous = _previous[zone];
        if (previous == None)
        {
            First = next;
        }
        else
        {
            _next[previous] = next;
        }

        if (next == None)
        {
            _tail = previous;
        }
        else
        {
            _previous[next] = previous;
        }

        Count--;
    }

    /// <summary>Makes a zone of the list the most recently written.</summary>
    public void Touch(int zone)
    {
        if (zone != _tail)
        {
            Remove(zone);
            Add(zone);
        }
    }

    /// <summary>Makes room for another number of zones; no zone beyond it may be in the list.</summary>
    public void Resize(int zones)
    {
        Array.Resize(ref _next, zones);
        Array.Resize(ref _previous, zones);
    }
}
