using Paddock.Nvme.Target;

namespace Paddock.Nvme.Tcp;

/// <summary>A zone of a namespace.</summary>
internal readonly record struct ZoneKey(uint NamespaceId, ulong Zone);

/// <summary>
/// Keeps the writes of one zone in the order in which they were received: a write waits for the earlier writes to its zone whose data is
/// still to come, or they would fail at the write pointer. Used by the receiving thread only.
/// </summary>
internal sealed class ZoneOrder
{
    private readonly List<Entry> _entries = [];
    private int _ready;

    /// <summary>Whether no write waits.</summary>
    public bool IsEmpty => _entries.Count == 0;

    /// <summary>The writes that have their data and wait for their turn.</summary>
    public IEnumerable<TcpCommand> Ready => _entries.Where(e => e.IsReady).Select(e => e.Command);

    /// <summary>All writes that wait, for data or for their turn.</summary>
    public IEnumerable<TcpCommand> Commands => _entries.Select(e => e.Command);

    /// <summary>Whether a write to a zone must wait for earlier ones.</summary>
    public bool IsBusy(ZoneKey zone) => IndexOf(zone) >= 0;

    /// <summary>Adds a write behind all others of its zone.</summary>
    /// <param name="command">The write.</param>
    /// <param name="zone">Its zone.</param>
    /// <param name="isReady">Whether its data has been received.</param>
    public void Add(TcpCommand command, ZoneKey zone, bool isReady)
    {
        _entries.Add(new Entry(command, zone, isReady));
        _ready += isReady ? 1 : 0;
    }

    /// <summary>Records that a write's data has been received.</summary>
    /// <returns>False when the write is not kept here: it may start at once.</returns>
    public bool MarkReady(TcpCommand command)
    {
        int index = IndexOf(command);
        if (index < 0)
        {
            return false;
        }

        _ready += _entries[index].IsReady ? 0 : 1;
        _entries[index] = _entries[index] with { IsReady = true };
        return true;
    }

    /// <summary>Removes a write that will not start.</summary>
    public void Remove(TcpCommand command)
    {
        int index = IndexOf(command);
        if (index >= 0)
        {
            RemoveAt(index);
        }
    }

    /// <summary>Removes and returns the next write that may start; null if not found.</summary>
    /// <param name="position">Where to continue: 0 first, then what the previous call left in it.</param>
    public TcpCommand? TakeReady(ref int position)
    {
        for (; _ready > 0 && position < _entries.Count; position++)
        {
            var entry = _entries[position];
            if (entry.IsReady && IndexOf(entry.Zone) == position)
            {
                RemoveAt(position);
                return entry.Command;
            }
        }

        return null;
    }

    private int IndexOf(ZoneKey zone)
    {
        for (int i = 0; i < _entries.Count; i++)
        {
            if (_entries[i].Zone == zone)
            {
                return i;
            }
        }

        return -1;
    }

    private int IndexOf(TcpCommand command)
    {
        for (int i = 0; i < _entries.Count; i++)
        {
            if (_entries[i].Command == command)
            {
                return i;
            }
        }

        return -1;
    }

    private void RemoveAt(int index)
    {
        _ready -= _entries[index].IsReady ? 1 : 0;
        _entries.RemoveAt(index);
    }

    private readonly record struct Entry(TcpCommand Command, ZoneKey Zone, bool IsReady);
}
