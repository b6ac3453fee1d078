using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Memory;

/// <summary>How a copy ended.</summary>
internal enum CopyResult
{
    /// <summary>All bytes are copied.</summary>
    Done,

    /// <summary>The region has been unmapped.</summary>
    Gone,

    /// <summary>The client has removed pages of its file.</summary>
    Failed,
}

/// <summary>A region of the client's memory: mapped here, or accessed with messages.</summary>
/// <param name="description">Description by the client.</param>
/// <param name="shared">The mapping; owned. Null: no descriptor came, or it cannot be mapped safely.</param>
/// <param name="isGuarded">Whether pages of the mapping may be missing: the kernel then copies.</param>
internal sealed unsafe class DmaRegion(in DmaMap description, SharedMemory? shared, bool isGuarded = false)
{
    // added to the number of leases to end the region: no lease is granted after that
    private const int Ended = int.MinValue;

    private readonly byte* _start = shared is null ? null : (byte*)shared.Start;
    private int _leases;

    /// <summary>Address of the first byte on the bus.</summary>
    public ulong Address { get; } = description.Address;

    /// <summary>Address of the last byte on the bus.</summary>
    public ulong Last { get; } = description.Address + (description.Length - 1);

    /// <summary>Length in bytes.</summary>
    public ulong Length { get; } = description.Length;

    /// <summary>Whether the device may read it.</summary>
    public bool IsReadable { get; } = (description.Flags & DmaFlags.Readable) != 0;

    /// <summary>Whether the device may write it.</summary>
    public bool IsWritable { get; } = (description.Flags & DmaFlags.Writable) != 0;

    /// <summary>Whether it is mapped here; otherwise it is accessed with messages.</summary>
    public bool IsMapped => _start is not null;

    /// <summary>Copies from the region; the caller has checked the range.</summary>
    public CopyResult Read(ulong address, Span<byte> to)
    {
        if (!TryLease())
        {
            return CopyResult.Gone;
        }

        bool isDone = true;
        var from = _start + (address - Address);
        if (isGuarded)
        {
            isDone = GuardedCopy.TryRead((nint)from, to);
        }
        else if (to.Length == sizeof(uint) && ((nint)from & (sizeof(uint) - 1)) == 0)
        {
            BitConverter.TryWriteBytes(to, Volatile.Read(ref *(uint*)from));
        }
        else
        {
            new ReadOnlySpan<byte>(from, to.Length).CopyTo(to);
        }

        Interlocked.Decrement(ref _leases);
        return isDone ? CopyResult.Done : CopyResult.Failed;
    }

    /// <summary>Copies to the region; the caller has checked the range.</summary>
    public CopyResult Write(ulong address, ReadOnlySpan<byte> from)
    {
        if (!TryLease())
        {
            return CopyResult.Gone;
        }

        // the lease is taken with a full barrier: the stores of earlier calls are visible before these
        bool isDone = true;
        var to = _start + (address - Address);
        if (isGuarded)
        {
            isDone = GuardedCopy.TryWrite((nint)to, from);
        }
        else if (from.Length == sizeof(uint) && ((nint)to & (sizeof(uint) - 1)) == 0)
        {
            Volatile.Write(ref *(uint*)to, BitConverter.ToUInt32(from));
        }
        else
        {
            from.CopyTo(new Span<byte>(to, from.Length));
        }

        Interlocked.Decrement(ref _leases);
        return isDone ? CopyResult.Done : CopyResult.Failed;
    }

    /// <summary>Waits for the copies in progress, then unmaps the region.</summary>
    public void End()
    {
        if (shared is null)
        {
            return;
        }

        Interlocked.Add(ref _leases, Ended);
        var spin = default(SpinWait);
        while (Volatile.Read(ref _leases) != Ended)
        {
            spin.SpinOnce();
        }

        shared.Dispose();
    }

    private bool TryLease()
    {
        if (Interlocked.Increment(ref _leases) > 0)
        {
            return true;
        }

        Interlocked.Decrement(ref _leases);
        return false;
    }
}
