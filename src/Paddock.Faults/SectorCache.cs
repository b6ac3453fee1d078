using Paddock.Block;
using static Paddock.Faults.CachedBlock;

namespace Paddock.Faults;

/// <summary>
/// The contents of a volatile cache: blocks of data, and ranges that wait to be zeroed. A sector is in a block, in such a range, or in
/// neither: then the storage below has it. The cache does no I/O. All calls require <see cref="Gate"/>, unless documented otherwise.
/// </summary>
internal sealed class SectorCache
{
    private const int SpareAges = 4096;

    private readonly Dictionary<long, CachedBlock> _blocks = [];
    private readonly Queue<(long Index, long Birth)> _ages = new();
    private long _clock, _drained, _length;
    private volatile bool _dead;

    /// <param name="length">Length of the storage below in bytes.</param>
    public SectorCache(long length) => _length = length;

    /// <summary>Guards the whole cache.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Ranges that wait to be zeroed.</summary>
    public ZeroRanges Zeroes { get; } = new();

    /// <summary>Number of bytes of data in blocks, unused sectors included.</summary>
    public long Bytes => (long)_blocks.Count * Size;

    /// <summary>Whether the cache is empty.</summary>
    public bool IsEmpty => _blocks.Count == 0 && Zeroes.Count == 0;

    /// <summary>Indexes of all blocks.</summary>
    public long[] Blocks => [.. _blocks.Keys];

    /// <summary>Length of the storage as its users see it. May be read without the lock.</summary>
    public long Length
    {
        get => Volatile.Read(ref _length);
        set => Volatile.Write(ref _length, value);
    }

    /// <summary>Number that grows whenever contents have been written to the storage below. May be read without the lock.</summary>
    public long Drained => Interlocked.Read(ref _drained);

    /// <summary>Whether the power was cut: every request fails after that. May be read without the lock.</summary>
    public bool IsDead => _dead;

    /// <summary>Rounds up to whole sectors.</summary>
    public static long RoundUp(long position) => (position + SectorSize - 1) / SectorSize * SectorSize;

    /// <summary>Rounds down to whole sectors.</summary>
    public static long RoundDown(long position) => position / SectorSize * SectorSize;

    /// <exception cref="BlockException">The power was cut.</exception>
    public void ThrowIfDead()
    {
        if (_dead)
        {
            throw new BlockException(BlockError.NoMedium, "the power was cut");
        }
    }

    /// <summary>Cuts the power and keeps the contents.</summary>
    public void Kill() => _dead = true;

    /// <summary>Drops all contents.</summary>
    public void Clear()
    {
        _blocks.Clear();
        _ages.Clear();
        Zeroes.Clear();
    }

    /// <summary>Returns a block.</summary>
    public CachedBlock BlockAt(long index) => _blocks[index];

    /// <summary>
    /// Returns the location of the latest contents of a position, and the end, inside its block, of the run with the same location.
    /// </summary>
    public (CachePlace Place, long End) Locate(long position, long end)
    {
        long start = position / Size * Size;
        end = Math.Min(end, start + Size);
        if (_blocks.TryGetValue(position / Size, out var block))
        {
            int sector = (int)(position - start) / SectorSize, next = sector + 1;
            bool held = block.Holds(sector);
            while (next < Sectors && block.Holds(next) == held)
            {
                next++;
            }

            end = Math.Min(end, start + (next * SectorSize));
            if (held)
            {
                return (CachePlace.Block, end);
            }
        }

        var (zero, run) = Zeroes.Locate(position, end);
        return (zero ? CachePlace.Zeroes : CachePlace.Below, run);
    }

    /// <summary>Whether blocks hold an entire range.</summary>
    public bool HoldsAll(long start, long end)
    {
        for (long at = start; Locate(at, end) is { Place: CachePlace.Block } held; at = held.End)
        {
            if (held.End >= end)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Copies the cached part of a range.</summary>
    /// <returns>The gaps, whose data is in the storage below.</returns>
    public List<(int At, int Length)> Read(long offset, Span<byte> buffer)
    {
        if (IsEmpty)
        {
            return [(0, buffer.Length)];
        }

        var gaps = new List<(int At, int Length)>();
        for (int at = 0; at < buffer.Length;)
        {
            long position = offset + at;
            var (place, end) = Locate(position, offset + buffer.Length);
            int length = (int)(end - position);
            var part = buffer.Slice(at, length);
            if (place == CachePlace.Block)
            {
                _blocks[position / Size].Bytes.AsSpan((int)(position % Size), length).CopyTo(part);
            }
            else if (place == CachePlace.Zeroes)
            {
                part.Clear();
            }
            else if (gaps is [.., var last] && last.At + last.Length == at)
            {
                gaps[^1] = (last.At, last.Length + length);
            }
            else
            {
                gaps.Add((at, length));
            }

            at += length;
        }

        return gaps;
    }

    /// <summary>Writes data to the cache; a partly covered sector is completed from the storage below.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="data">The data; empty for zeroes.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="edges">First and last sector of the range in the storage below; null if they have not been read.</param>
    /// <param name="seen">Value of <see cref="Drained"/> before the edges were read.</param>
    /// <returns>False if the edges are needed, or may have changed since they were read.</returns>
    public bool TryPut(long offset, ReadOnlySpan<byte> data, int length, byte[]? edges, long seen)
    {
        long end = offset + length, head = RoundDown(offset), tail = RoundDown(end);
        bool headIsBelow = offset != head && Locate(offset, offset + 1).Place == CachePlace.Below;
        bool tailIsBelow = end != tail && Locate(end, end + 1).Place == CachePlace.Below;
        if ((headIsBelow || tailIsBelow) && (edges is null || seen != _drained))
        {
            return false;
        }

        if (offset != head)
        {
            Complete(head, headIsBelow ? edges.AsSpan(0, SectorSize) : default);
        }

        if (end != tail)
        {
            Complete(tail, tailIsBelow ? edges.AsSpan(SectorSize) : default);
        }

        Store(offset, data, length);
        Length = Math.Max(_length, end);
        return true;
    }

    /// <summary>Turns whole sectors into a range that waits to be zeroed.</summary>
    public void Zero(long start, long end, bool mayUnmap)
    {
        Forget(start, end);
        Zeroes.Add(start, end, mayUnmap);
    }

    /// <summary>Removes from the age queue the oldest blocks in excess of a size.</summary>
    public long[] TakeOldest(long size)
    {
        long excess = _blocks.Count - (size / Size);
        var oldest = new List<long>();
        while (oldest.Count < excess && _ages.TryDequeue(out var age))
        {
            if (_blocks.TryGetValue(age.Index, out var block) && block.Birth == age.Birth)
            {
                oldest.Add(age.Index);
            }
        }

        return [.. oldest];
    }

    /// <summary>Returns blocks from <see cref="TakeOldest"/> that could not be written to the head of the age queue.</summary>
    public void PutBack(long[] oldest)
    {
        var younger = _ages.ToArray();
        _ages.Clear();
        foreach (long index in oldest)
        {
            if (_blocks.TryGetValue(index, out var block))
            {
                _ages.Enqueue((index, block.Birth));
            }
        }

        foreach (var age in younger)
        {
            _ages.Enqueue(age);
        }
    }

    /// <summary>Copies adjacent whole blocks, or one block with holes, so that they can be written while the cache changes.</summary>
    /// <param name="order">Indexes of blocks, ascending.</param>
    /// <param name="from">Position in the order of the first block to copy.</param>
    /// <param name="run">Receives the copy.</param>
    /// <returns>Position in the order after the copied blocks.</returns>
    public int Stage(long[] order, int from, CacheRun run)
    {
        run.Clear();
        for (int i = from; i < order.Length && !run.IsFull; i++)
        {
            bool found = _blocks.TryGetValue(order[i], out var block);
            if (!found || !run.TryAdd(order[i], block!))
            {
                // skip a block that has been removed meanwhile
                return run.Count == 0 ? i + 1 : i;
            }

            if (block!.Held != Whole)
            {
                return i + 1;
            }
        }

        return from + run.Count;
    }

    /// <summary>Removes the blocks of a run that has been written below, unless they have changed meanwhile.</summary>
    public void Settle(CacheRun run)
    {
        foreach (var (index, changed) in run.Blocks)
        {
            if (!_blocks.TryGetValue(index, out var block))
            {
                continue;
            }

            if (block.Changed == changed)
            {
                _blocks.Remove(index);
            }
            else
            {
                // changed meanwhile: it stays, with the age of its change
                block.Birth = ++_clock;
                _ages.Enqueue((index, block.Birth));
            }
        }

        _drained++;
        if (_blocks.Count == 0)
        {
            _ages.Clear();
        }
    }

    /// <summary>Removes ranges that have been zeroed below.</summary>
    public void SettleZeroes(ReadOnlySpan<(long Start, long End, bool MayUnmap)> ranges)
    {
        foreach (var (start, end, _) in ranges)
        {
            Zeroes.Remove(start, end);
        }

        _drained++;
    }

    // removes whole sectors from the cache
    private void Forget(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        Zeroes.Remove(start, end);
        long first = start / Size, last = (end - 1) / Size;
        if (last - first > _blocks.Count)
        {
            foreach (long index in _blocks.Keys.Where(i => i >= first && i <= last).ToArray())
            {
                ForgetIn(index, start, end);
            }

            return;
        }

        for (long index = first; index <= last; index++)
        {
            ForgetIn(index, start, end);
        }
    }

    private void ForgetIn(long index, long start, long end)
    {
        if (!_blocks.TryGetValue(index, out var block))
        {
            return;
        }

        int from = (int)Math.Max(0, (start - (index * Size)) / SectorSize);
        int to = (int)Math.Min(Sectors, (end - (index * Size)) / SectorSize);
        block.Held &= (byte)~Mask(from, to);
        block.Changed = ++_clock;
        if (block.Held == 0)
        {
            _blocks.Remove(index);
        }
    }

    // caches a sector before a part of it changes
    private void Complete(long start, ReadOnlySpan<byte> below)
    {
        if (Locate(start, start + SectorSize).Place != CachePlace.Block)
        {
            Store(start, below, SectorSize);
        }
    }

    private void Store(long offset, ReadOnlySpan<byte> data, int length)
    {
        Zeroes.Remove(RoundDown(offset), RoundUp(offset + length));
        for (int done = 0; done < length;)
        {
            var block = Own((offset + done) / Size);
            int at = (int)((offset + done) % Size), count = Math.Min(length - done, Size - at);
            var to = block.Bytes.AsSpan(at, count);
            if (data.IsEmpty)
            {
                to.Clear();
            }
            else
            {
                data.Slice(done, count).CopyTo(to);
            }

            block.Held |= Mask(at / SectorSize, ((at + count - 1) / SectorSize) + 1);
            block.Changed = ++_clock;
            done += count;
        }
    }

    private CachedBlock Own(long index)
    {
        if (!_blocks.TryGetValue(index, out var block))
        {
            _blocks.Add(index, block = new CachedBlock { Birth = ++_clock });
            _ages.Enqueue((index, block.Birth));
            ForgetAges();
        }

        return block;
    }

    // a flush removes blocks but not their ages
    private void ForgetAges()
    {
        if (_ages.Count <= (2 * _blocks.Count) + SpareAges)
        {
            return;
        }

        for (int left = _ages.Count; left > 0; left--)
        {
            var age = _ages.Dequeue();
            if (_blocks.TryGetValue(age.Index, out var block) && block.Birth == age.Birth)
            {
                _ages.Enqueue(age);
            }
        }
    }
}
