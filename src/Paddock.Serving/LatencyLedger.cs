namespace Paddock.Serving;

/// <summary>
/// Latencies of a server. Each connection counts in a table of its own, to avoid contention; its counts are merged here when it closes.
/// </summary>
internal sealed class LatencyLedger
{
    private readonly Lock _lock = new();
    private readonly HashSet<LatencyTable> _open = [];
    private readonly LatencyTable _closed = new();

    /// <summary>Adds a table for a connection.</summary>
    public LatencyTable Open()
    {
        var table = new LatencyTable();
        lock (_lock)
        {
            _open.Add(table);
        }

        return table;
    }

    /// <summary>Removes the table of a closed connection and keeps its counts.</summary>
    public void Close(LatencyTable table)
    {
        lock (_lock)
        {
            if (_open.Remove(table))
            {
                _closed.Add(table);
            }
        }
    }

    /// <summary>Returns all counts so far.</summary>
    public LatencyTable Sum()
    {
        var sum = new LatencyTable();
        lock (_lock)
        {
            sum.Add(_closed);
            foreach (var table in _open)
            {
                sum.Add(table);
            }
        }

        return sum;
    }
}
