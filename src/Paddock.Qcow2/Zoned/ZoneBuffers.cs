namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The drive's volatile write cache: small writes to a zone gather here until an aligned piece is whole, since a page cache takes
/// 64 KiB far quicker than sixteen times 4 KiB. Guarded by the device's lock.
/// </summary>
internal sealed class ZoneBuffers
{
    /// <summary>Bytes of a buffer; pieces end at multiples of it.</summary>
    public const int BufferBytes = 128 << 10;

    /// <summary>Zones that gather at once; writes to further ones go straight through.</summary>
    public const int MaxBuffers = 128;

    private readonly Dictionary<int, Buffer> _byZone = [];
    private readonly Stack<Buffer> _free = new();

    /// <summary>Zones with gathered data.</summary>
    public int Count => _byZone.Count;

    /// <summary>The zones, for a flush.</summary>
    public int[] Zones() => [.. _byZone.Keys];

    /// <summary>The zone's buffer, or null.</summary>
    public Buffer? Find(int zone) => _byZone.Count > 0 && _byZone.TryGetValue(zone, out var buffer) ? buffer : null;

    /// <summary>A buffer for a zone that has none, for data from <paramref name="offset"/> on; null when all are taken.</summary>
    public Buffer? Take(int zone, long offset)
    {
        if (_byZone.Count >= MaxBuffers)
        {
            return null;
        }

        var buffer = _free.TryPop(out var used) ? used : new Buffer();
        buffer.Begin(offset);
        _byZone.Add(zone, buffer);
        return buffer;
    }

    /// <summary>Drops a zone's buffer with what is in it.</summary>
    public void Drop(int zone)
    {
        if (_byZone.Remove(zone, out var buffer))
        {
            _free.Push(buffer);
        }
    }

    /// <summary>Gathered data of one zone.</summary>
    internal sealed class Buffer
    {
        public byte[] Bytes { get; } = GC.AllocateUninitializedArray<byte>(BufferBytes);

        /// <summary>Where the gathered data starts on the disk.</summary>
        public long Start { get; private set; }

        /// <summary>Bytes gathered.</summary>
        public int Length { get; set; }

        /// <summary>Bytes that are durable, behind the zone table.</summary>
        public int Recorded { get; set; }

        /// <summary>Bytes that still fit before the piece is whole.</summary>
        public int Room => BufferBytes - (int)(Start % BufferBytes) - Length;

        /// <summary>Resets the buffer to empty.</summary>
        public void Begin(long start) => (Start, Length, Recorded) = (start, 0, 0);
    }
}
