namespace Paddock.Nvme.Target;

/// <summary>Memory that goes back to its pool when the last of its users is done with it.</summary>
internal sealed class SharedBuffer(BufferPool pool, int size)
{
    /// <summary>Room before the data, for the headers of the PDU that carries it.</summary>
    public const int Headroom = 128;

    /// <summary>Room behind the data, for its digest and a completion.</summary>
    public const int Tailroom = 64;

    private int _users = 1;

    /// <summary>The bytes; they never move.</summary>
    public byte[] Bytes { get; } = GC.AllocateUninitializedArray<byte>(size, pinned: true);

    /// <summary>Whether nobody else uses it.</summary>
    public bool IsMine => Volatile.Read(ref _users) == 1;

    /// <summary>The data of a buffer that was rented for so many bytes.</summary>
    public Memory<byte> Data(int length) => Bytes.AsMemory(Headroom, length);

    /// <summary>Adds a user.</summary>
    public void Share() => Interlocked.Increment(ref _users);

    /// <summary>Takes a user away.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _users = 1;
            pool.Return(this);
        }
    }
}

/// <summary>Buffers in a few sizes, kept for the next request, under one limit for the whole server.</summary>
/// <param name="limit">Most bytes that are lent at once.</param>
internal sealed class BufferPool(long limit)
{
    private const int KeptOfEachSize = 64;

    private static readonly int[] Sizes = [8 << 10, 80 << 10, 272 << 10, (1 << 20) + (16 << 10)];

    private readonly Lock _lock = new();
    private readonly Stack<SharedBuffer>[] _free = [new(KeptOfEachSize), new(KeptOfEachSize), new(KeptOfEachSize), new(KeptOfEachSize)];
    private long _lent;

    /// <summary>Bytes that are lent now.</summary>
    public long Lent => Volatile.Read(ref _lent);

    /// <summary>Room for some data with its headers; null when the server's limit is reached.</summary>
    public SharedBuffer? Rent(int data)
    {
        int kind = 0;
        while (Sizes[kind] < data + SharedBuffer.Headroom + SharedBuffer.Tailroom)
        {
            kind++;
        }

        lock (_lock)
        {
            if (_lent + Sizes[kind] > limit)
            {
                return null;
            }

            _lent += Sizes[kind];
            if (_free[kind].TryPop(out var buffer))
            {
                return buffer;
            }
        }

        return new SharedBuffer(this, Sizes[kind]);
    }

    /// <summary>Takes a buffer back.</summary>
    public void Return(SharedBuffer buffer)
    {
        var free = _free[Array.IndexOf(Sizes, buffer.Bytes.Length)];
        lock (_lock)
        {
            _lent -= buffer.Bytes.Length;
            if (free.Count < KeptOfEachSize)
            {
                free.Push(buffer);
            }
        }
    }
}
