using Paddock.Nvme.Pcie;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Memory of a host in an array; pages of it may be unmapped or read-only.</summary>
internal sealed class HostMemory(int size) : IDeviceMemory
{
    /// <summary>Address of the first byte.</summary>
    public const ulong Base = 0x10_0000;

    public const int PageSize = 4096;

    private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(size, pinned: true);
    private readonly Access[] _pages = new Access[size / PageSize];
    private long _calls;
    private volatile int _stops;
    private volatile bool _holdsWrites;
    private volatile int _held;
    private int _next;

    /// <summary>Number of accesses so far.</summary>
    public long Calls => Volatile.Read(ref _calls);

    /// <summary>Fails every access once it is set.</summary>
    public bool IsGone { get; set; }

    /// <summary>Whether writes wait until it is cleared, or until they are stopped.</summary>
    public bool HoldsWrites
    {
        get => _holdsWrites;
        set => _holdsWrites = value;
    }

    /// <summary>Whether a write waits.</summary>
    public bool IsHolding => _held > 0;

    /// <summary>Returns pages that were not returned before, filled with zeroes.</summary>
    public ulong Allocate(int bytes)
    {
        int start = _next;
        _next += (bytes + PageSize - 1) & ~(PageSize - 1);
        _bytes.AsSpan(start, _next - start).Clear();
        return Base + (ulong)start;
    }

    /// <summary>Makes all pages available to <see cref="Allocate"/> again.</summary>
    public void Release(ulong from) => _next = (int)(from - Base);

    /// <summary>The bytes at an address.</summary>
    public Span<byte> At(ulong address, int length) => _bytes.AsSpan((int)(address - Base), length);

    /// <summary>Sets what a page may be used for.</summary>
    public void Map(ulong page, bool read = true, bool write = true)
        => _pages[(int)(page - Base) / PageSize] = (read ? Access.All : Access.NoRead) | (write ? Access.All : Access.NoWrite);

    public bool TryRead(ulong address, Span<byte> to)
    {
        if (!IsMapped(address, to.Length, Access.NoRead))
        {
            return false;
        }

        _bytes.AsSpan((int)(address - Base), to.Length).CopyTo(to);
        return true;
    }

    public bool TryWrite(ulong address, ReadOnlySpan<byte> from)
    {
        if (!IsMapped(address, from.Length, Access.NoWrite))
        {
            return false;
        }

        if (_holdsWrites && !WaitForRelease())
        {
            return false;
        }

        Interlocked.MemoryBarrier();
        from.CopyTo(_bytes.AsSpan((int)(address - Base), from.Length));
        return true;
    }

    public void Stop() => Interlocked.Increment(ref _stops);

    public void Resume() => Interlocked.Decrement(ref _stops);

    private bool WaitForRelease()
    {
        Interlocked.Increment(ref _held);
        SpinWait.SpinUntil(() => !_holdsWrites || _stops > 0);
        Interlocked.Decrement(ref _held);
        return _stops == 0;
    }

    private bool IsMapped(ulong address, int length, Access forbidden)
    {
        Volatile.Write(ref _calls, _calls + 1);
        ulong offset = address - Base;
        if (IsGone || _stops > 0 || offset >= (ulong)_bytes.Length || (ulong)length > (ulong)_bytes.Length - offset)
        {
            return false;
        }

        for (int page = (int)offset / PageSize; page <= ((int)offset + length - 1) / PageSize; page++)
        {
            if ((_pages[page] & forbidden) != 0)
            {
                return false;
            }
        }

        return true;
    }

    [Flags]
    private enum Access : byte
    {
        All = 0,
        NoRead = 1,
        NoWrite = 2,
    }
}
