using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// A request as it lies in guest memory: what the device reads, then what it writes, in pieces. Every piece was looked up and lies inside
/// the guest's memory. Belongs to its ring, which uses it again after <see cref="Virtqueue.Complete"/>.
/// </summary>
/// <remarks>What the pieces hold may change at any time: copy what is looked at twice.</remarks>
internal sealed class DescriptorChain
{
    // longer arrays are dropped after use, so that a ring of long chains does not hold memory for ever
    private const int KeptPieces = 256;
    private const int FirstPieces = 8;

    private Memory<byte>[] _pieces = new Memory<byte>[FirstPieces];
    private int _count;
    private int _readable;

    /// <summary>The pieces that the device reads, in order.</summary>
    public ReadOnlySpan<Memory<byte>> Readable => _pieces.AsSpan(0, _readable);

    /// <summary>The pieces that the device writes, in order.</summary>
    public ReadOnlySpan<Memory<byte>> Writable => _pieces.AsSpan(_readable, _count - _readable);

    /// <summary>Bytes that the device reads.</summary>
    public uint ReadableBytes { get; private set; }

    /// <summary>Bytes that the device may write.</summary>
    public uint WritableBytes { get; private set; }

    /// <summary>Taken again after a crash: it may have had its effect, or part of it, already.</summary>
    public bool IsReplay { get; internal set; }

    /// <summary>Where an append lands, if that is known already; of one that was taken again, where it had landed.</summary>
    public AppendNote? Note { get; internal set; }

    /// <summary>What the driver calls it: the head's index, or the buffer id.</summary>
    internal ushort Id { get; set; }

    /// <summary>How many descriptors of a packed ring it takes.</summary>
    internal int RingDescriptors { get; set; }

    /// <summary>Where the record of requests in flight keeps it.</summary>
    internal int InflightIndex { get; set; }

    /// <summary>Empties it.</summary>
    internal void Clear()
    {
        if (_pieces.Length > KeptPieces)
        {
            _pieces = new Memory<byte>[FirstPieces];
        }

        (_count, _readable, ReadableBytes, WritableBytes) = (0, 0, 0, 0);
        (Id, RingDescriptors, InflightIndex, IsReplay, Note) = (0, 0, 0, false, null);
    }

    /// <summary>Adds a piece.</summary>
    /// <exception cref="RingException">
    /// It is empty, not inside the guest's memory, one that is read after one that is written, or too much.
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
