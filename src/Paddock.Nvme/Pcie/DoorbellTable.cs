namespace Paddock.Nvme.Pcie;

/// <summary>
/// The doorbells of the queues that exist. Written on the thread that answers the host, read by the worker; index: twice the queue, one
/// more for a completion queue.
/// </summary>
internal sealed class DoorbellTable
{
    private readonly IDoorbells _values;
    private readonly int[] _entries;
    private volatile bool _hasInvalidRegister, _hasInvalidValue;

    /// <param name="values">Storage of the values.</param>
    /// <param name="queues">Number of queue pairs, with that of the admin queues.</param>
    public DoorbellTable(IDoorbells values, int queues)
    {
        _values = values;
        _entries = new int[2 * queues];
    }

    /// <summary>Whether a write was invalid that <see cref="TakeErrors"/> has not reported.</summary>
    public bool HasErrors => _hasInvalidRegister || _hasInvalidValue;

    /// <summary>The value that the host wrote last.</summary>
    public uint Read(int index) => _values.Read(index);

    /// <summary>Takes a value that the host writes; one that is invalid is ignored and recorded.</summary>
    public void Write(int index, uint value)
    {
        int entries = index < _entries.Length ? Volatile.Read(ref _entries[index]) : 0;
        if (entries == 0)
        {
            _hasInvalidRegister = true;
        }
        else if (value >= (uint)entries)
        {
            _hasInvalidValue = true;
        }
        else
        {
            _values.Write(index, value);
        }
    }

    /// <summary>The value in memory that the host wrote directly is invalid.</summary>
    public void RejectValue() => _hasInvalidValue = true;

    /// <summary>A queue of so many entries exists, at its start.</summary>
    public void Open(int index, int entries)
    {
        _values.Write(index, 0);
        Volatile.Write(ref _entries[index], entries);
    }

    /// <summary>The queue does not exist any more.</summary>
    public void Close(int index) => Volatile.Write(ref _entries[index], 0);

    /// <summary>Returns which errors have occurred since the previous call.</summary>
    public (bool InvalidRegister, bool InvalidValue) TakeErrors()
    {
        var errors = (_hasInvalidRegister, _hasInvalidValue);
        _hasInvalidRegister &= !errors._hasInvalidRegister;
        _hasInvalidValue &= !errors._hasInvalidValue;
        return errors;
    }
}
