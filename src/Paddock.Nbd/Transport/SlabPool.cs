using System.Numerics;

namespace Paddock.Nbd.Transport;

/// <summary>Slabs in sizes that are powers of two; keeps a bounded number of bytes for later.</summary>
internal sealed class SlabPool
{
    /// <summary>What a connection receives into and gathers replies in.</summary>
    public const int StandardSize = 256 << 10;

    private const int SmallestSize = 8 << 10;
    private const int Classes = 15;
    private const long KeptBytesAClass = 64L << 20;

    private readonly Lock _lock = new();
    private readonly Stack<Slab>[] _free = new Stack<Slab>[Classes];

    public SlabPool()
    {
        for (int i = 0; i < Classes; i++)
        {
            _free[i] = new Stack<Slab>();
        }
    }

    /// <summary>A slab of at least so many bytes, held by the caller.</summary>
    public Slab Rent(int size = StandardSize)
    {
        int index = ClassOf(size);
        Slab? slab;
        lock (_lock)
        {
            _free[index].TryPop(out slab);
        }

        slab ??= new Slab(this, SmallestSize << index);
        slab.Hold();
        return slab;
    }

    /// <summary>Takes a slab back that nobody holds.</summary>
    public void Return(Slab slab)
    {
        int index = ClassOf(slab.Bytes.Length);
        lock (_lock)
        {
            if ((long)(_free[index].Count + 1) * slab.Bytes.Length <= KeptBytesAClass)
            {
                _free[index].Push(slab);
            }
        }
    }

    private static int ClassOf(int size)
        => size <= SmallestSize ? 0 : BitOperations.Log2((uint)(size - 1)) + 1 - BitOperations.Log2(SmallestSize);
}
