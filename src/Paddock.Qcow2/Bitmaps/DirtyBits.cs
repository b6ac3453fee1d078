using System.Numerics;
using System.Runtime.InteropServices;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>
/// The bits of one bitmap in memory. Chunks of which no bit is set take no memory, and all chunks of which every bit is set share one.
/// Bits are set without a lock; only a chunk that is touched for the first time, and a change of the size, take one.
/// </summary>
internal sealed class DirtyBits
{
    /// <summary>Bytes of a chunk of bits.</summary>
    public const int ChunkBytes = 4096;

    private const int ChunkShift = 15, ChunkMask = (1 << ChunkShift) - 1;

    private readonly Lock _lock = new();
    private readonly int _granularityBits;
    private Chunk?[] _chunks;
    private long _length;

    /// <param name="length">Bytes of the disk.</param>
    /// <param name="granularityBits">log2 of the granularity in bytes.</param>
    public DirtyBits(long length, int granularityBits)
    {
        _granularityBits = granularityBits;
        _length = length;
        _chunks = new Chunk?[ChunksFor(BitsFor(length, granularityBits))];
    }

    /// <summary>Bytes of the disk.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>Granularity: bytes of the disk per bit.</summary>
    public long Granularity => 1L << _granularityBits;

    /// <summary>Number of bits.</summary>
    public long Count => BitsFor(Length, _granularityBits);

    /// <summary>Bits for a disk of a length.</summary>
    public static long BitsFor(long length, int granularityBits)
        => (long)(((ulong)length + (1UL << granularityBits) - 1) >> granularityBits);

    /// <summary>Bytes of the bits for a disk of a length.</summary>
    public static long BytesFor(long length, int granularityBits) => (BitsFor(length, granularityBits) + 7) >> 3;

    /// <summary>Sets the bits of a range of the disk, as far as it is inside.</summary>
    public void Set(long offset, long length)
    {
        long end = Math.Min(offset + length, Length);
        if (end > offset)
        {
            SetBits(offset >> _granularityBits, (end - 1) >> _granularityBits);
        }
    }

    /// <summary>Whether the bit of an offset of the disk is set.</summary>
    public bool IsSet(long offset)
    {
        long bit = offset >> _granularityBits;
        var chunks = Volatile.Read(ref _chunks);
        return bit >> ChunkShift < chunks.Length && chunks[bit >> ChunkShift] is { } chunk && chunk.IsSet((int)bit & ChunkMask);
    }

    /// <summary>The end of the run of equal bits that starts at an offset of the disk.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="limit">Offset at which to stop.</param>
    /// <param name="isSet">The value of the bits.</param>
    /// <returns>An offset beyond <paramref name="offset"/>, at most the limit.</returns>
    public long EndOfRun(long offset, long limit, out bool isSet)
    {
        limit = Math.Min(limit, Length);
        isSet = IsSet(offset);
        var chunks = Volatile.Read(ref _chunks);
        long last = (limit - 1) >> _granularityBits, bit = (offset >> _granularityBits) + 1;
        while (bit <= last)
        {
            var chunk = bit >> ChunkShift < chunks.Length ? chunks[bit >> ChunkShift] : null;
            int inChunk = (int)bit & ChunkMask;
            int found = chunk is null ? (isSet ? inChunk : ChunkMask + 1) : chunk.FirstOther(inChunk, isSet);
            bit += found - inChunk;
            if (found <= ChunkMask)
            {
                break;
            }
        }

        return bit > last ? limit : bit << _granularityBits;
    }

    /// <summary>Clears all bits. A bit that is set at the same time is either cleared or stays set.</summary>
    public void Clear() => Drain(null);

    /// <summary>
    /// Moves all bits to another bitmap of the same granularity and size. A bit that is set meanwhile is in one of the two.
    /// </summary>
    public void MoveTo(DirtyBits other) => Drain(other);

    /// <summary>Sets every bit whose range is touched by a set bit of another bitmap.</summary>
    public void Merge(DirtyBits other)
    {
        long length = Math.Min(Length, other.Length);
        for (long offset = 0; offset < length;)
        {
            long end = other.EndOfRun(offset, length, out bool isSet);
            if (isSet)
            {
                Set(offset, end - offset);
            }

            offset = end;
        }
    }

    /// <summary>Changes the length of the disk. Bits of what is added are set: a shorter disk may have had other contents there.</summary>
    public void Resize(long length)
    {
        long old;
        lock (_lock)
        {
            old = _length;
            var chunks = _chunks;
            Array.Resize(ref chunks, ChunksFor(BitsFor(length, _granularityBits)));
            Volatile.Write(ref _chunks, chunks);
            Volatile.Write(ref _length, length);
        }

        if (length > old)
        {
            Set(old, length - old);
        }
    }

    /// <summary>Whether bits of a range of bytes of the bitmap have changed since they were loaded or stored.</summary>
    public bool HasChanged(long start, long bytes)
    {
        for (long i = start / ChunkBytes; i < _chunks.Length && i * ChunkBytes < start + bytes; i++)
        {
            if (_chunks[i] is { Changed: true })
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The whole bitmap is on the storage as it is here. Nothing sets bits meanwhile.</summary>
    public void MarkStored()
    {
        foreach (var chunk in _chunks)
        {
            if (chunk is not null)
            {
                chunk.Changed = false;
            }
        }
    }

    /// <summary>Copies a range of bytes of the bitmap; what lies behind its end is zeroes.</summary>
    /// <returns>What kind of bits they are.</returns>
    public BitRange CopyTo(long start, Span<byte> bytes)
    {
        bytes.Clear();
        long end = Math.Min(start + bytes.Length, BytesFor(Length, _granularityBits));
        bool zeroes = true, ones = true;
        for (long at = start; at < end;)
        {
            int inChunk = (int)(at % ChunkBytes), count = (int)Math.Min(ChunkBytes - inChunk, end - at);
            var part = bytes.Slice((int)(at - start), count);
            _chunks[at / ChunkBytes]?.CopyTo(inChunk, part);
            zeroes &= !part.ContainsAnyExcept((byte)0);
            ones &= !part.ContainsAnyExcept((byte)0xff);
            at += count;
        }

        if (end == BytesFor(Length, _granularityBits) && (Count & 7) != 0)
        {
            // bits behind the end of the disk are zeroes; the bits of a shorter disk may have been set there
            bytes[(int)(end - 1 - start)] &= (byte)((1 << (int)(Count & 7)) - 1);
        }

        return zeroes ? BitRange.Zeroes : ones && end == start + bytes.Length ? BitRange.Ones : BitRange.Mixed;
    }

    /// <summary>Sets bits as a range of bytes of the bitmap has them. They count as stored.</summary>
    public void Load(long start, ReadOnlySpan<byte> bytes)
    {
        long end = Math.Min(start + bytes.Length, BytesFor(Length, _granularityBits));
        for (long at = start; at < end;)
        {
            int inChunk = (int)(at % ChunkBytes), count = (int)Math.Min(ChunkBytes - inChunk, end - at);
            var part = bytes.Slice((int)(at - start), count);
            if (part.ContainsAnyExcept((byte)0))
            {
                ref var slot = ref _chunks[at / ChunkBytes];
                if (count == ChunkBytes && !part.ContainsAnyExcept((byte)0xff))
                {
                    slot = Chunk.Full();
                }
                else
                {
                    (slot ??= Chunk.Empty()).Load(inChunk, part);
                }
            }

            at += count;
        }
    }

    /// <summary>Sets all bits of a range of bytes of the bitmap. They count as stored.</summary>
    public void LoadOnes(long start, long bytes)
    {
        Span<byte> ones = stackalloc byte[ChunkBytes];
        ones.Fill(0xff);
        for (long at = start; at < start + bytes;)
        {
            int count = (int)Math.Min(ChunkBytes - (at % ChunkBytes), start + bytes - at);
            Load(at, ones[..count]);
            at += count;
        }
    }

    private static int ChunksFor(long bits) => (int)((bits + ChunkMask) >> ChunkShift);

    private void SetBits(long first, long last)
    {
        while (first <= last)
        {
            int from = (int)first & ChunkMask, to = (int)Math.Min(ChunkMask, from + (last - first));
            var chunks = Volatile.Read(ref _chunks);
            long index = first >> ChunkShift;
            var chunk = index < chunks.Length ? Volatile.Read(ref chunks[index]) : null;
            bool whole = from == 0 && to == ChunkMask;
            if (chunk is null || (whole && !chunk.IsFull))
            {
                chunk = Begin(index, whole);
            }

            chunk?.Set(from, to);
            first += to - from + 1;
        }
    }

    // under the lock, so that a chunk never begins in an array that a resize replaces at the same time
    private Chunk? Begin(long index, bool full)
    {
        lock (_lock)
        {
            if (index >= _chunks.Length)
            {
                return null;
            }

            ref var slot = ref _chunks[index];
            if (full)
            {
                Volatile.Write(ref slot, Chunk.Full());
                slot!.Changed = true;
            }
            else if (slot is null)
            {
                Volatile.Write(ref slot, Chunk.Empty());
            }

            return slot;
        }
    }

    private void Drain(DirtyBits? other)
    {
        lock (_lock)
        {
            for (int i = 0; i < _chunks.Length; i++)
            {
                if (_chunks[i] is not { } chunk)
                {
                    continue;
                }

                var moved = other is null ? null : Chunk.Empty();
                if (chunk.IsFull)
                {
                    // whoever still finds the full chunk looked before its bits were cleared
                    var next = Chunk.Empty();
                    next.Changed = true;
                    Volatile.Write(ref _chunks[i], next);
                    moved?.Set(0, ChunkMask);
                }
                else
                {
                    chunk.MoveTo(moved);
                }

                if (other is not null)
                {
                    other._chunks[i] = moved;
                }
            }
        }
    }

    /// <summary>32,768 bits. The words of a full chunk are shared, and never written.</summary>
    private sealed class Chunk
    {
        private const int Words = ChunkBytes / sizeof(ulong), WordShift = 6, WordMask = 63;

        private static readonly ulong[] Ones = [.. Enumerable.Repeat(ulong.MaxValue, Words)];

        private readonly ulong[] _words;

        private Chunk(ulong[] words) => _words = words;

        /// <summary>Whether it differs from what is stored.</summary>
        public bool Changed { get; set; }

        public bool IsFull => ReferenceEquals(_words, Ones);

        public static Chunk Empty() => new(new ulong[Words]);

        public static Chunk Full() => new(Ones);

        public bool IsSet(int bit) => (Volatile.Read(ref _words[bit >> WordShift]) >> (bit & WordMask) & 1) != 0;

        /// <summary>Sets bits, both ends included.</summary>
        public void Set(int from, int to)
        {
            for (int word = from >> WordShift; word <= to >> WordShift; word++)
            {
                ulong mask = ulong.MaxValue;
                if (word == from >> WordShift)
                {
                    mask &= ulong.MaxValue << (from & WordMask);
                }

                if (word == to >> WordShift)
                {
                    mask &= ulong.MaxValue >> (WordMask - (to & WordMask));
                }

                // most writes find their bit set: nothing is written then, so that processors do not fight over the line
                if ((Volatile.Read(ref _words[word]) & mask) != mask)
                {
                    Changed = true;
                    Interlocked.Or(ref _words[word], mask);
                }
            }
        }

        /// <summary>The first bit, from one on, that has not the value; the number of bits in the chunk if no bit qualifies.</summary>
        public int FirstOther(int from, bool value)
        {
            for (int word = from >> WordShift; word < Words; word++)
            {
                ulong other = Volatile.Read(ref _words[word]);
                other = value ? ~other : other;
                if (word == from >> WordShift)
                {
                    other &= ulong.MaxValue << (from & WordMask);
                }

                if (other != 0)
                {
                    return (word << WordShift) + BitOperations.TrailingZeroCount(other);
                }
            }

            return Words << WordShift;
        }

        /// <summary>Clears the bits one word at a time, so that a bit set meanwhile is moved or stays.</summary>
        public void MoveTo(Chunk? other)
        {
            Changed = true;
            for (int i = 0; i < Words; i++)
            {
                ulong word = Interlocked.Exchange(ref _words[i], 0);
                if (other is not null)
                {
                    other._words[i] = word;
                }
            }
        }

        // bit 0 of byte 0 comes first on the storage, as it does in the words of a little-endian processor
        public void CopyTo(int start, Span<byte> bytes) => MemoryMarshal.AsBytes(_words.AsSpan()).Slice(start, bytes.Length).CopyTo(bytes);

        public void Load(int start, ReadOnlySpan<byte> bytes) => bytes.CopyTo(MemoryMarshal.AsBytes(_words.AsSpan())[start..]);
    }
}

/// <summary>What bits a range of a bitmap has.</summary>
internal enum BitRange
{
    Zeroes,
    Ones,
    Mixed,
}
