namespace Paddock.Nvme.Pcie;

/// <summary>Where the data of a command lie in the host's memory; adjacent parts are joined.</summary>
internal sealed class TransferMap
{
    private const int PartBytes = 24;

    private Part[] _parts = new Part[2];
    private int _count;

    /// <summary>Number of parts.</summary>
    public int Count => _count;

    /// <summary>Bytes of memory that the map occupies.</summary>
    public int Footprint => _parts.Length * PartBytes;

    /// <summary>Bytes that the parts have together.</summary>
    public int Length { get; private set; }

    /// <summary>Removes all parts.</summary>
    public void Clear() => _count = Length = 0;

    /// <summary>Adds a part behind the others.</summary>
    /// <param name="address">Its address.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="isDropped">Whether bytes for the host are dropped here (a bit bucket).</param>
    public void Add(ulong address, int length, bool isDropped = false)
    {
        Length += length;
        if (_count > 0)
        {
            ref var last = ref _parts[_count - 1];
            if (last.IsDropped == isDropped && (isDropped || last.Address + (ulong)last.Length == address))
            {
                last = last with { Length = last.Length + length };
                return;
            }
        }

        if (_count == _parts.Length)
        {
            Array.Resize(ref _parts, 2 * _count);
        }

        _parts[_count++] = new Part(address, length, isDropped);
    }

    /// <summary>Copies the data from the host.</summary>
    /// <returns>False when a part cannot be read.</returns>
    public bool TryCopyIn(IDeviceMemory memory, Span<byte> to)
    {
        for (int i = 0; i < _count; i++)
        {
            ref readonly var part = ref _parts[i];
            if (!memory.TryRead(part.Address, to[..part.Length]))
            {
                return false;
            }

            to = to[part.Length..];
        }

        return true;
    }

    /// <summary>Copies the data to the host.</summary>
    /// <returns>False when a part cannot be written; earlier ones may have been.</returns>
    public bool TryCopyOut(IDeviceMemory memory, ReadOnlySpan<byte> from)
    {
        for (int i = 0; i < _count; i++)
        {
            ref readonly var part = ref _parts[i];
            if (!part.IsDropped && !memory.TryWrite(part.Address, from[..part.Length]))
            {
                return false;
            }

            from = from[part.Length..];
        }

        return true;
    }

    private readonly record struct Part(ulong Address, int Length, bool IsDropped);
}
