namespace Paddock.Nvme.Pcie;

/// <summary>
/// The level of INTx: asserted while a completion queue with interrupts has entries that the host has not read, unless the vector is masked
/// (INTMS and INTMC, NVMe base 2.0, 3.1.3.3). Thread-safe.
/// </summary>
internal sealed class InterruptPin(IInterrupts interrupts)
{
    private const int Vectors = 32;

    private readonly Lock _lock = new();
    private readonly int[] _unread = new int[Vectors];
    private volatile uint _pending;
    private uint _mask;
    private int _epoch;
    private bool _level;

    /// <summary>Number of resets so far: an update of an earlier one is ignored.</summary>
    public int Epoch
    {
        get
        {
            lock (_lock)
            {
                return _epoch;
            }
        }
    }

    /// <summary>Whether a queue has entries that the host has not read.</summary>
    public bool IsPending => _pending != 0;

    /// <summary>The mask.</summary>
    public uint Mask
    {
        get
        {
            lock (_lock)
            {
                return _mask;
            }
        }
    }

    /// <summary>Sets and clears bits of the mask.</summary>
    public void ChangeMask(uint set, uint clear)
    {
        lock (_lock)
        {
            _mask = (_mask | set) & ~clear;
            Update();
        }
    }

    /// <summary>A queue of a vector has got entries, or the host has read them all.</summary>
    /// <param name="epoch">The <see cref="Epoch"/> in which the queue was created.</param>
    /// <param name="vector">The vector.</param>
    /// <param name="isUnread">Whether there are entries to read.</param>
    public void SetUnread(int epoch, int vector, bool isUnread)
    {
        int bit = vector % Vectors;
        lock (_lock)
        {
            if (epoch != _epoch)
            {
                return;
            }

            _unread[bit] += isUnread ? 1 : -1;
            _pending = _unread[bit] > 0 ? _pending | (1u << bit) : _pending & ~(1u << bit);
            Update();
        }
    }

    /// <summary>The controller has been reset: no queue exists.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _epoch++;
            Array.Clear(_unread);
            _pending = _mask = 0;
            Update();
        }
    }

    private void Update()
    {
        bool level = (_pending & ~_mask) != 0;
        if (level != _level)
        {
            _level = level;
            interrupts.SetPin(level);
        }
    }
}
