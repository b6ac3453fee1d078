namespace Paddock.Faults;

// how data gets into the cache
internal sealed partial class VolatileStorage
{
    /// <summary>Puts data (zeroes where there is none) into the cache; a sector that it covers in part is completed from below.</summary>
    private async ValueTask PutAsync(long offset, ReadOnlyMemory<byte> data, int length, CancellationToken cancellationToken)
    {
        if (length == 0)
        {
            return;
        }

        if (_overfull)
        {
            await DrainOldestAsync();
        }

        await ReserveBelowAsync(offset, length, cancellationToken);
        byte[]? edges = null;
        long seen = -1;
        while (!TryPut(offset, data.Span, length, edges, seen))
        {
            edges ??= new byte[2 * Sector];
            seen = Interlocked.Read(ref _drained);
            await _below.ReadAsync(offset / Sector * Sector, edges.AsMemory(0, Sector), cancellationToken);
            await _below.ReadAsync((offset + length) / Sector * Sector, edges.AsMemory(Sector), cancellationToken);
        }

        await MakeRoomAsync();
    }

    // not for what the cache holds already: its space was taken when it came
    private ValueTask<bool> ReserveBelowAsync(long offset, int length, CancellationToken cancellationToken)
    {
        long start = offset / Sector * Sector, end = RoundUp(offset + length);
        lock (_lock)
        {
            ThrowIfDead();
            for (long at = start; Locate(at, end) is { Place: Place.Block } held; at = held.End)
            {
                if (held.End >= end)
                {
                    return new ValueTask<bool>(true);
                }
            }
        }

        return TakeBelowAsync(start, end - start, cancellationToken);
    }

    /// <summary>Takes space below. A range that waits there to be unmapped must not give it back again.</summary>
    private async ValueTask<bool> TakeBelowAsync(long offset, long length, CancellationToken cancellationToken)
    {
        bool waits;
        lock (_lock)
        {
            waits = _zeroes.MayUnmapIn(offset, offset + length);
        }

        if (!waits)
        {
            return await _below.ReserveAsync(offset, length, grows: false, cancellationToken);
        }

        // a drain under way may be about to unmap it
        await _draining.AcquireAsync();
        try
        {
            bool taken = await _below.ReserveAsync(offset, length, grows: false, cancellationToken);
            lock (_lock)
            {
                // only space that is there can be kept: zeroing a hole in place would need some
                _zeroes.KeepSpace(offset, taken ? offset + length : offset);
            }

            return taken;
        }
        finally
        {
            _draining.Release();
        }
    }

    // false: the edges are needed, or have changed since they were read
    private bool TryPut(long offset, ReadOnlySpan<byte> data, int length, byte[]? edges, long seen)
    {
        long end = offset + length, head = offset / Sector * Sector, tail = end / Sector * Sector;
        lock (_lock)
        {
            ThrowIfDead();
            bool headIsBelow = offset != head && Locate(offset, offset + 1).Place == Place.Below;
            bool tailIsBelow = end != tail && Locate(end, end + 1).Place == Place.Below;
            if ((headIsBelow || tailIsBelow) && (edges is null || seen != _drained))
            {
                return false;
            }

            if (offset != head)
            {
                Complete(head, headIsBelow ? edges.AsSpan(0, Sector) : default);
            }

            if (end != tail)
            {
                Complete(tail, tailIsBelow ? edges.AsSpan(Sector) : default);
            }

            Store(offset, data, length);
            Volatile.Write(ref _length, Math.Max(_length, end));
            return true;
        }
    }

    // makes a sector the cache's own before a part of it changes
    private void Complete(long start, ReadOnlySpan<byte> below)
    {
        if (Locate(start, start + Sector).Place != Place.Block)
        {
            Store(start, below, Sector);
        }
    }

    private void Store(long offset, ReadOnlySpan<byte> data, int length)
    {
        _zeroes.Remove(offset / Sector * Sector, RoundUp(offset + length));
        for (int done = 0; done < length;)
        {
            var block = Own((offset + done) / BlockSize);
            int at = (int)((offset + done) % BlockSize), count = Math.Min(length - done, BlockSize - at);
            var to = block.Bytes.AsSpan(at, count);
            if (data.IsEmpty)
            {
                to.Clear();
            }
            else
            {
                data.Slice(done, count).CopyTo(to);
            }

            int first = at / Sector, last = (at + count - 1) / Sector;
            block.Held |= (byte)((Whole >> (SectorsInBlock - 1 - last)) & (Whole << first));
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

    // takes whole sectors out of the cache
    private void Forget(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        _zeroes.Remove(start, end);
        long first = start / BlockSize, last = (end - 1) / BlockSize;
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

        int from = (int)Math.Max(0, (start - (index * BlockSize)) / Sector);
        int to = (int)Math.Min(SectorsInBlock, (end - (index * BlockSize)) / Sector);
        block.Held &= (byte)~((Whole >> (SectorsInBlock - to)) & (Whole << from));
        block.Changed = ++_clock;
        if (block.Held == 0)
        {
            _blocks.Remove(index);
        }
    }
}
