using System.Numerics;
using Paddock.Block;

namespace Paddock.Serving;

/// <summary>A pool of slabs in sizes that are powers of two; keeps a bounded number of bytes for reuse.</summary>
/// <param name="limit">Maximum number of bytes rented at once.</param>
/// <param name="keeps">Maximum number of bytes kept for reuse: a burst must not leave the process large permanently.</param>
internal sealed class SlabPool(long limit = long.MaxValue, long keeps = 256L << 20)
{
    /// <summary>Size of the buffers for receiving and for gathering replies.</summary>
    public const int StandardSize = 256 << 10;

    /// <summary>Size of the smallest slabs.</summary>
    public const int SmallestSize = 8 << 10;

    private const int Classes = 15;

    private readonly long _keeps = Math.Min(limit / 4, keeps);
    private readonly Lock _lock = new();
    private readonly Stack<Slab>[] _free = [.. Enumerable.Range(0, Classes).Select(_ => new Stack<Slab>())];
    private readonly long[] _lastRent = new long[Classes];
    private long _lent, _kept, _rents;

    /// <summary>Maximum number of bytes rented at once.</summary>
    public long Limit => limit;

    /// <summary>Number of bytes currently rented.</summary>
    public long Lent => Volatile.Read(ref _lent);

    /// <summary>Rents a slab of at least this many bytes, held by the caller.</summary>
    public Slab Rent(int size = StandardSize)
        => TryRent(size) ?? throw new BlockException(BlockError.NoMemory, $"the limit of {limit} bytes in buffers is reached");

    /// <summary>Rents a slab, or returns null if the pool's limit is reached.</summary>
    public Slab? TryRent(int size)
    {
        int index = ClassOf(size);
        Slab? slab;
        lock (_lock)
        {
            if ((long)SmallestSize << index > limit - _lent)
            {
                return null;
            }

            _lent += (long)SmallestSize << index;
            _lastRent[index] = ++_rents;
            if (_free[index].TryPop(out slab))
            {
                _kept -= slab.Bytes.Length;
            }
        }

        slab ??= new Slab(this, SmallestSize << index);
        slab.Hold();
        return slab;
    }

    /// <summary>Returns a slab without holders to the pool.</summary>
    public void Return(Slab slab)
    {
        int index = ClassOf(slab.Bytes.Length);
        lock (_lock)
        {
            _lent -= slab.Bytes.Length;
            while (_kept + slab.Bytes.Length > _keeps && TryDropOlderThan(index))
            {
            }

            if (_kept + slab.Bytes.Length <= _keeps)
            {
                _kept += slab.Bytes.Length;
                _free[index].Push(slab);
            }
        }
    }

    // frees unused sizes for requested ones; under the lock
    private bool TryDropOlderThan(int index)
    {
        int oldest = -1;
        for (int i = 0; i < Classes; i++)
        {
            if (_free[i].Count > 0 && _lastRent[i] < _lastRent[index] && (oldest < 0 || _lastRent[i] < _lastRent[oldest]))
            {
                oldest = i;
            }
        }

        if (oldest < 0)
        {
            return false;
        }

        _kept -= _free[oldest].Pop().Bytes.Length;
        return true;
    }

    private static int ClassOf(int size)
        => size <= SmallestSize ? 0 : BitOperations.Log2((uint)(size - 1)) + 1 - BitOperations.Log2(SmallestSize);
}
