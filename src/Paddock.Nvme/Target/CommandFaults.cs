namespace Paddock.Nvme;

/// <summary>One fault on demand: which commands it meets, and what becomes of them.</summary>
/// <param name="Opcode">The operation code that it waits for; null: any I/O command.</param>
/// <param name="After">Commands of that kind that pass before the first that is met.</param>
/// <param name="Count">How many are met; 0: all from then on.</param>
/// <param name="Status">The status that they fail with; null: they only wait.</param>
/// <param name="Delay">How long they wait first.</param>
public sealed record CommandFault(byte? Opcode, long After, long Count, Wire.NvmeStatus? Status, TimeSpan Delay);

/// <summary>The faults that a namespace injects into its commands, for tests of the software above.</summary>
public sealed class CommandFaults
{
    private readonly Lock _lock = new();
    private readonly List<(CommandFault Fault, long Seen)> _faults = [];
    private volatile bool _any;

    /// <summary>Faults that are still to fire.</summary>
    public IReadOnlyList<CommandFault> Pending
    {
        get
        {
            lock (_lock)
            {
                return [.. _faults.Select(f => f.Fault)];
            }
        }
    }

    /// <summary>Adds a fault.</summary>
    public void Add(CommandFault fault)
    {
        lock (_lock)
        {
            _faults.Add((fault, 0));
            _any = true;
        }
    }

    /// <summary>Takes all faults away.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _faults.Clear();
            _any = false;
        }
    }

    /// <summary>The fault that meets this command; null for most.</summary>
    internal CommandFault? Meet(byte opcode)
    {
        if (!_any)
        {
            return null;
        }

        lock (_lock)
        {
            for (int i = 0; i < _faults.Count; i++)
            {
                var (fault, seen) = _faults[i];
                if (fault.Opcode is { } wanted && wanted != opcode)
                {
                    continue;
                }

                _faults[i] = (fault, seen + 1);
                if (seen < fault.After)
                {
                    continue;
                }

                if (fault.Count != 0 && seen + 1 == fault.After + fault.Count)
                {
                    _faults.RemoveAt(i);
                    _any = _faults.Count > 0;
                }

                return fault;
            }
        }

        return null;
    }
}
