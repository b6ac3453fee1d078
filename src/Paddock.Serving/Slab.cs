namespace Paddock.Serving;

/// <summary>Memory to release after a piece has been sent.</summary>
internal interface IReleasable
{
    /// <summary>Releases the memory.</summary>
    void Release();
}

/// <summary>A pinned array shared by several requests; the last one to release it returns it to its pool.</summary>
internal sealed class Slab : IReleasable
{
    private readonly SlabPool _pool;
    private int _holders;

    internal Slab(SlabPool pool, int size)
    {
        _pool = pool;
        Bytes = GC.AllocateUninitializedArray<byte>(size, pinned: true);
    }

    /// <summary>The bytes; the initial contents are undefined.</summary>
    public byte[] Bytes { get; }

    /// <summary>Whether the caller is the only holder.</summary>
    public bool IsMine => Volatile.Read(ref _holders) == 1;

    /// <summary>Adds a holder.</summary>
    public void Hold() => Interlocked.Increment(ref _holders);

    /// <inheritdoc/>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
        {
            _pool.Return(this);
        }
    }
}
