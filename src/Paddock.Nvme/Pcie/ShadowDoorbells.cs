using System.Buffers.Binary;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Shadow doorbells (NVMe base 2.0, 5.7 and B.5): the host writes positions of the I/O queues into a page of its memory, and a doorbell
/// only if the position passes the event index in a second page. While the worker runs it looks at the first page and leaves the second
/// alone; before it sleeps it sets event indexes. Used by the worker only.
/// </summary>
/// <param name="memory">Memory of the host.</param>
/// <param name="queues">Number of queue pairs, with that of the admin queues.</param>
internal sealed class ShadowDoorbells(IDeviceMemory memory, int queues)
{
    private const int EntrySize = sizeof(uint);

    private readonly byte[] _copy = new byte[2 * queues * EntrySize];
    private readonly uint?[] _events = new uint?[2 * queues];
    private ulong _values, _indexes;

    /// <summary>Whether the host uses them.</summary>
    public bool IsOn { get; private set; }

    /// <summary>The host's pages.</summary>
    public void Configure(ulong values, ulong indexes)
    {
        (_values, _indexes, IsOn) = (values, indexes, true);
        Array.Clear(_events);
    }

    /// <summary>Copies the positions of all queues up to one.</summary>
    /// <returns>False when the page cannot be read.</returns>
    public bool TryRefresh(int lastQueue) => memory.TryRead(_values, _copy.AsSpan(0, 2 * (lastQueue + 1) * EntrySize));

    /// <summary>The position that was copied last.</summary>
    public uint Read(int index) => BinaryPrimitives.ReadUInt32LittleEndian(_copy.AsSpan(index * EntrySize));

    /// <summary>Sets a position: of a queue that exists when the pages are configured, or 0 for a new one.</summary>
    /// <returns>False when a page cannot be written.</returns>
    public bool TryWrite(int index, uint position)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_copy.AsSpan(index * EntrySize), position);
        _events[index] = null;
        return Store(_values, index, position) && TrySetEvent(index, position);
    }

    /// <summary>Requests a doorbell when the host moves a queue on from a position.</summary>
    /// <returns>False when the page cannot be written.</returns>
    public bool TrySetEvent(int index, uint position)
    {
        if (_events[index] == position)
        {
            return true;
        }

        _events[index] = position;
        return Store(_indexes, index, position);
    }

    private bool Store(ulong page, int index, uint value)
    {
        Span<byte> bytes = stackalloc byte[EntrySize];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return memory.TryWrite(page + (ulong)(index * EntrySize), bytes);
    }
}
