using Paddock.Block;

namespace Paddock.Faults;

// how data gets out of the cache: by a flush, for want of room, or never
internal sealed partial class VolatileStorage
{
    private const int RunBlocks = 64, MaxZeroRanges = 64 << 10, SpareAges = 4096;

    private readonly byte[] _run = new byte[RunBlocks * BlockSize];
    private readonly List<(long Index, long Changed)> _staged = [];

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        await _draining.AcquireAsync();
        try
        {
            await DrainAsync(everything: true);
            await _below.FlushAsync(cancellationToken);
        }
        finally
        {
            _draining.Release();
        }
    }

    /// <summary>
    /// Cuts the power. From now on every request fails; of what was not flushed a part survives below, in no order, as on a real drive.
    /// </summary>
    /// <param name="keepPercent">How likely a sector survives, 0 to 100.</param>
    /// <param name="seed">Of the choice.</param>
    /// <returns>The storage below, which is the caller's from here on.</returns>
    public async ValueTask<IStorage> CutAsync(int keepPercent = 0, int seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)keepPercent, 100u, nameof(keepPercent));
        lock (_lock)
        {
            _dead = true;
        }

        await _draining.AcquireAsync();
        try
        {
            try
            {
                await KeepSomeAsync(keepPercent, new Random(seed));
            }
            catch (BlockException)
            {
                // what is below failed: nothing more survives, which a power cut may do
            }

            lock (_lock)
            {
                _blocks.Clear();
                _ages.Clear();
                _zeroes.Clear();
            }
        }
        finally
        {
            _draining.Release();
        }

        return _below;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_dead)
            {
                return;
            }
        }

        try
        {
            await FlushAsync();
        }
        finally
        {
            await _below.DisposeAsync();
        }
    }

    // a sector is written whole, but does not make the storage longer than it is to be
    private long End => Math.Max(_length, _below.Length);

    private async ValueTask MakeRoomAsync()
    {
        lock (_lock)
        {
            if ((long)_blocks.Count * BlockSize <= _size && _zeroes.Count <= MaxZeroRanges)
            {
                return;
            }
        }

        try
        {
            await DrainOldestAsync();
        }
        catch (BlockException) when (!Volatile.Read(ref _dead))
        {
            // what was written is kept here; the next write is refused until there is room
            _overfull = true;
        }
    }

    private async ValueTask DrainOldestAsync()
    {
        await _draining.AcquireAsync();
        try
        {
            await DrainAsync(everything: false);
            _overfull = false;
        }
        finally
        {
            _draining.Release();
        }
    }

    // zeroes go first: a range that shrank the storage and data behind it must not meet in the wrong order
    private async ValueTask DrainAsync(bool everything)
    {
        long[] order;
        bool zeroes;
        lock (_lock)
        {
            ThrowIfDead();
            order = everything ? [.. _blocks.Keys] : Oldest();
            zeroes = everything ? _zeroes.Count > 0 : _zeroes.Count > MaxZeroRanges;
        }

        try
        {
            if (zeroes)
            {
                await DrainZeroesAsync();
            }

            await WriteBlocksAsync(order);
        }
        catch (BlockException) when (!everything)
        {
            Requeue(order);
            throw;
        }

        long wanted;
        lock (_lock)
        {
            ThrowIfDead();
            wanted = _length;
        }

        if (everything && _below.Length != wanted)
        {
            await _below.SetLengthAsync(wanted);
        }
    }

    private async ValueTask WriteBlocksAsync(long[] order)
    {
        Array.Sort(order);
        for (int i = 0; i < order.Length;)
        {
            var (next, offset, length, held) = Stage(order, i);
            i = next;
            await WriteRunAsync(offset, length, held);
            Settle();
        }
    }

    // blocks that were to go and could not: they keep their place among the oldest
    private void Requeue(long[] order)
    {
        lock (_lock)
        {
            var younger = _ages.ToArray();
            _ages.Clear();
            foreach (long index in order)
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
    }

    private async ValueTask DrainZeroesAsync()
    {
        (long Start, long End, bool MayUnmap)[] ranges;
        long length;
        lock (_lock)
        {
            length = _length;
            ranges = [.. Enumerable.Range(0, _zeroes.Count).Select(i => _zeroes[i])];
        }

        foreach (var (start, end, mayUnmap) in ranges)
        {
            // past the end there is nothing to zero: the length itself does it
            long stop = Math.Min(end, length);
            if (start < stop)
            {
                await _below.WriteZeroesAsync(start, stop - start, mayUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None);
            }
        }

        if (_below.Length > length)
        {
            await _below.SetLengthAsync(length);
        }

        lock (_lock)
        {
            ThrowIfDead();
            foreach (var (start, end, _) in ranges)
            {
                _zeroes.Remove(start, end);
            }

            _drained++;
        }
    }

    // a flush takes blocks out and leaves their ages behind
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

    // an eighth more than must go, so that not every write has to wait
    private long[] Oldest()
    {
        long excess = _blocks.Count - ((_size - (_size / 8)) / BlockSize);
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

    // copies whole blocks that lie side by side, or one block with holes; no write may change the copy while it is on its way
    private (int Next, long Offset, int Length, byte Held) Stage(long[] order, int from)
    {
        lock (_lock)
        {
            ThrowIfDead();
            _staged.Clear();
            byte held = Whole;
            int i = from;
            for (; i < order.Length && _staged.Count < RunBlocks; i++)
            {
                if (!_blocks.TryGetValue(order[i], out var block))
                {
                    break;
                }

                if (_staged.Count > 0 && (block.Held != Whole || _staged[^1].Index + 1 != order[i]))
                {
                    break;
                }

                block.Bytes.CopyTo(_run, _staged.Count * BlockSize);
                _staged.Add((order[i], block.Changed));
                held = block.Held;
                if (held != Whole)
                {
                    i++;
                    break;
                }
            }

            // a block that is gone by now is passed over
            if (_staged.Count == 0)
            {
                return (i + 1, 0, 0, 0);
            }

            long offset = _staged[0].Index * BlockSize;
            return (i, offset, (int)Math.Min((long)_staged.Count * BlockSize, Math.Max(0, End - offset)), held);
        }
    }

    private async ValueTask WriteRunAsync(long offset, int length, byte held)
    {
        if (held == Whole && length > 0)
        {
            await _below.WriteAsync(offset, _run.AsMemory(0, length));
            return;
        }

        for (int at = 0; at < length;)
        {
            int end = at;
            while (end < length && (held & (1 << (end / Sector))) != 0)
            {
                end += Sector;
            }

            if (end > at)
            {
                await _below.WriteAsync(offset + at, _run.AsMemory(at, Math.Min(end, length) - at));
            }

            at = Math.Max(end, at + Sector);
        }
    }

    private void Settle()
    {
        lock (_lock)
        {
            foreach (var (index, changed) in _staged)
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
                    // changed on its way: it stays, as young as its change
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
    }

    private async ValueTask KeepSomeAsync(int percent, Random random)
    {
        if (percent == 0)
        {
            return;
        }

        bool Survives() => random.Next(100) < percent;
        long before = _below.Length;
        for (int i = 0; i < _zeroes.Count; i++)
        {
            // all of it, none, or a part from its start
            var (start, end, mayUnmap) = _zeroes[i];
            end = Math.Min(Math.Min(end, before), Survives() ? end : start + (random.NextInt64((end - start) / Sector) * Sector));
            if (start < end && Survives())
            {
                await _below.WriteZeroesAsync(start, end - start, mayUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None);
            }
        }

        foreach (long index in _blocks.Keys.Order().ToArray())
        {
            byte held = 0;
            for (int sector = 0; sector < SectorsInBlock; sector++)
            {
                held |= (byte)(_blocks[index].Holds(sector) && Survives() ? 1 << sector : 0);
            }

            _blocks[index].Bytes.CopyTo(_run, 0);
            await WriteRunAsync(index * BlockSize, (int)Math.Min(BlockSize, End - (index * BlockSize)), held);
        }

        if (_below.Length != _length && Survives())
        {
            await _below.SetLengthAsync(_length);
        }
    }
}
