using System.Buffers;

namespace Paddock.VhostUser.Memory;

/// <summary>A region of a guest's memory, mapped in this process.</summary>
/// <remarks>A <see cref="Memory{T}"/> holds less than 2 GiB: the region is covered by windows of 2 GiB that begin 1 GiB apart.</remarks>
internal sealed unsafe class MappedRegion
{
    private const int WindowShift = 30;
    private const int LongestWindow = int.MaxValue;

    private readonly byte* _base;
    private readonly Window[] _windows;

    /// <param name="guestAddress">Guest physical address of its first byte.</param>
    /// <param name="userAddress">The same byte's address in the front end's process: rings are named by such addresses.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="mapping">Address in this process; mapped for as long as the memory is used.</param>
    public MappedRegion(ulong guestAddress, ulong userAddress, ulong length, nint mapping)
    {
        if (length == 0 || length > long.MaxValue || guestAddress > ulong.MaxValue - length || userAddress > ulong.MaxValue - length)
        {
            throw new ArgumentOutOfRangeException(nameof(length), "a region of guest memory is empty or wraps around");
        }

        _base = (byte*)mapping;
        (GuestAddress, UserAddress, Length) = (guestAddress, userAddress, length);
        _windows = new Window[(int)((length - 1) >> WindowShift) + 1];
        for (int i = 0; i < _windows.Length; i++)
        {
            ulong start = (ulong)i << WindowShift;
            _windows[i] = new Window(_base + start, (int)Math.Min(length - start, LongestWindow));
        }
    }

    /// <summary>Guest physical address of the first byte.</summary>
    public ulong GuestAddress { get; }

    /// <summary>The front end's address of the first byte.</summary>
    public ulong UserAddress { get; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>Address of byte <paramref name="offset"/> in this process; the caller has checked the offset.</summary>
    public byte* At(ulong offset) => _base + offset;

    /// <summary>A run of at most 1 GiB as memory; the caller has checked that it lies inside.</summary>
    public Memory<byte> Slice(ulong offset, int length)
    {
        var window = _windows[offset >> WindowShift];
        return window.Memory.Slice((int)(offset & ((1UL << WindowShift) - 1)), length);
    }

    /// <summary>Memory over a mapping; the mapping's owner outlives it.</summary>
    private sealed class Window(byte* start, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(start, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(start + elementIndex);

        public override void Unpin()
        {
            // a mapping does not move
        }

        protected override void Dispose(bool disposing)
        {
            // the mapping is its owner's
        }
    }
}
