using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// A request in guest memory: segments that the device reads, then segments that it writes. Every segment has been checked to lie inside
/// the guest's memory. Owned by its ring, which reuses it after <see cref="Virtqueue.Complete"/>.
/// </summary>
/// <remarks>The guest may change the segments at any time: copy data that is read twice.</remarks>
internal sealed class DescriptorChain
{
    // longer arrays are dropped after use, so that a ring of long chains does not keep memory indefinitely
    private const int KeptPieces = 256;
    private const int FirstPieces = 8;

    private Memory<byte>[] _pieces = new Memory<byte>[FirstPieces];
    private int _count;
    private int _readable;

    /// <summary>Segments that the device reads, in order.</summary>
    public ReadOnlySpan<Memory<byte>> Readable => _pieces.AsSpan(0, _readable);

    /// <summary>Segments that the device writes, in order.</summary>
    public ReadOnlySpan<Memory<byte>> Writable => _pieces.AsSpan(_readable, _count - _readable);

    /// <summary>Number of bytes that the device reads.</summary>
    public uint ReadableBytes { get; private set; }

    /// <summary>Number of bytes that the device may write.</summary>
    public uint WritableBytes { get; private set; }

    /// <summary>Whether the request is replayed after a crash and may have taken effect, completely or in part.</summary>
    public bool IsReplay { get; internal set; }

    /// <summary>Offset of an append, if known; for a replayed one, the recorded offset.</summary>
    public AppendNote? Note { get; internal set; }

    /// <summary>The driver's identifier: the head's index, or the buffer id.</summary>
    internal ushort Id { get; set; }

    /// <summary>Number of descriptors of a packed ring that it occupies.</summary>
    internal int RingDescriptors { get; set; }

    /// <summary>Entry in the record of requests in flight.</summary>
    internal int InflightIndex { get; set; }

    /// <summary>Clears the chain.</summary>
    internal void Clear()
    {
        if (_pieces.Length > KeptPieces)
        {
            _pieces = new Memory<byte>[FirstPieces];
        }

        (_count, _readable, ReadableBytes, WritableBytes) = (0, 0, 0, 0);
        (Id, RingDescriptors, InflightIndex, IsReplay, Note) = (0, 0, 0, false, null);
    }

    /// <summary>Adds a segment.</summary>
    /// <exception cref="RingException">
    /// The segment is empty, outside the guest's memory, readable after a writable one, or makes the chain too long.
    /// </exception>
    internal void Add(GuestMemory memory, in Descriptor descriptor, bool writable)
    {
        if (descriptor.Length == 0)
        {
            throw new RingException($"a descriptor of 0 bytes at 0x{descriptor.Address:x}");
        }

        if (!memory.TryGet(descriptor.Address, descriptor.Length, out var piece))
        {
            throw new RingException(
                $"a descriptor of {descriptor.Length} bytes at 0x{descriptor.Address:x}: not inside the guest's memory");
        }

        if ((ulong)ReadableBytes + WritableBytes + descriptor.Length > uint.MaxValue)
        {
            throw new RingException("a chain of more than 2^32 bytes");
        }

        if (_count == _pieces.Length)
        {
            Array.Resize(ref _pieces, 2 * _count);
        }

        _pieces[_count++] = piece;
        if (writable)
        {
            WritableBytes += descriptor.Length;
        }
        else if (WritableBytes > 0)
        {
            throw new RingException($"a descriptor that the device reads, at 0x{descriptor.Address:x}, follows one that it writes");
        }
        else
        {
            ReadableBytes += descriptor.Length;
            _readable = _count;
        }
    }
}
