using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Faults;

/// <summary>
/// Moves the contents of a volatile cache to the storage below: in a flush, when the cache is full, or, in a power cut, a random part of
/// them. One drain runs at a time.
/// </summary>
/// <param name="below">The storage below.</param>
/// <param name="cache">The contents.</param>
/// <param name="size">Capacity of the cache in bytes of data.</param>
internal sealed class CacheDrain(IStorage below, SectorCache cache, long size)
{
    private const int MaxZeroRanges = 64 << 10;

    private readonly AsyncMutex _turn = new();
    private readonly CacheRun _run = new();

    // the storage below is full: the next write waits for room and fails if none appears
    private volatile bool _overfull;

    // a sector is written whole, but must not extend the storage past its intended length
    private long End => Math.Max(cache.Length, below.Length);

    /// <summary>Makes everything durable.</summary>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        await _turn.AcquireAsync();
        try
        {
            await DrainAsync(everything: true);
            await below.FlushAsync(cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Retries if the storage below was full last time; the caller's data enters the cache only if that succeeds.</summary>
    public ValueTask AwaitRoomAsync() => _overfull ? DrainOldestAsync() : ValueTask.CompletedTask;

    /// <summary>Writes the oldest blocks through if the cache exceeds its size.</summary>
    public async ValueTask MakeRoomAsync()
    {
        lock (cache.Gate)
        {
            if (cache.Bytes <= size && cache.Zeroes.Count <= MaxZeroRanges)
            {
                return;
            }
        }

        try
        {
            await DrainOldestAsync();
        }
        catch (BlockException) when (!cache.IsDead)
        {
            // the data stays in the cache; the next write is rejected until there is room
            _overfull = true;
        }
    }

    /// <summary>Reserves space below. A pending unmap of the range must not free it again.</summary>
    public async ValueTask<bool> ReserveAsync(long offset, long length, CancellationToken cancellationToken)
    {
        bool waits;
        lock (cache.Gate)
        {
            waits = cache.Zeroes.MayUnmapIn(offset, offset + length);
        }

        if (!waits)
        {
            return await below.ReserveAsync(offset, length, grows: false, cancellationToken);
        }

        // a drain in flight may be about to unmap it
        await _turn.AcquireAsync();
        try
        {
            bool taken = await below.ReserveAsync(offset, length, grows: false, cancellationToken);
            lock (cache.Gate)
            {
                // only existing space can be kept: zeroing a hole in place would need some
                cache.Zeroes.KeepSpace(offset, taken ? offset + length : offset);
            }

            return taken;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>
    /// Writes a random part of the contents to the storage below, in no order, and drops the rest. The power has been cut.
    /// </summary>
    /// <param name="keepPercent">Probability that a sector survives, 0 to 100.</param>
    /// <param name="random">Source of the choice.</param>
    public async ValueTask DropAsync(int keepPercent, Random random)
    {
        await _turn.AcquireAsync();
        try
        {
            try
            {
                await KeepSomeAsync(keepPercent, random);
            }
            catch (BlockException)
            {
                // the storage below failed: nothing more survives, as may happen in a power cut
            }

            lock (cache.Gate)
            {
                cache.Clear();
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private async ValueTask DrainOldestAsync()
    {
        await _turn.AcquireAsync();
        try
        {
            await DrainAsync(everything: false);
            _overfull = false;
        }
        finally
        {
            _turn.Release();
        }
    }

    // zeroes go first: a range that shrank the storage must not be applied after the data written behind it
    private async ValueTask DrainAsync(bool everything)
    {
        long[] order;
        bool zeroes;
        lock (cache.Gate)
        {
            cache.ThrowIfDead();

            // an eighth more than necessary, so that not every write has to wait
            order = everything ? cache.Blocks : cache.TakeOldest(size - (size / 8));
            zeroes = everything ? cache.Zeroes.Count > 0 : cache.Zeroes.Count > MaxZeroRanges;
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
            lock (cache.Gate)
            {
                cache.PutBack(order);
            }

            throw;
        }

        long wanted;
        lock (cache.Gate)
        {
            cache.ThrowIfDead();
            wanted = cache.Length;
        }

        if (everything && below.Length != wanted)
        {
            await below.SetLengthAsync(wanted);
        }
    }

    private async ValueTask WriteBlocksAsync(long[] order)
    {
        Array.Sort(order);
        for (int next = 0; next < order.Length;)
        {
            long end;
            lock (cache.Gate)
            {
                cache.ThrowIfDead();
                next = cache.Stage(order, next, _run);
                end = End;
            }

            await _run.WriteAsync(below, end);
            lock (cache.Gate)
            {
                cache.Settle(_run);
            }
        }
    }

    private async ValueTask DrainZeroesAsync()
    {
        (long Start, long End, bool MayUnmap)[] ranges;
        long length;
        lock (cache.Gate)
        {
            length = cache.Length;
            ranges = [.. Enumerable.Range(0, cache.Zeroes.Count).Select(i => cache.Zeroes[i])];
        }

        foreach (var (start, end, mayUnmap) in ranges)
        {
            // past the end there is nothing to zero: the length takes care of it
            long stop = Math.Min(end, length);
            if (start < stop)
            {
                await below.WriteZeroesAsync(start, stop - start, mayUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None);
            }
        }

        if (below.Length > length)
        {
            await below.SetLengthAsync(length);
        }

        lock (cache.Gate)
        {
            cache.ThrowIfDead();
            cache.SettleZeroes(ranges);
        }
    }

    private async ValueTask KeepSomeAsync(int percent, Random random)
    {
        if (percent == 0)
        {
            return;
        }

        bool Survives() => random.Next(100) < percent;
        long before = below.Length;
        for (int i = 0; i < cache.Zeroes.Count; i++)
        {
            // the whole run, none of it, or a part from its start
            var (start, end, mayUnmap) = cache.Zeroes[i];
            long Part() => start + (random.NextInt64((end - start) / CachedBlock.SectorSize) * CachedBlock.SectorSize);
            long kept = Survives() ? end : Part();
            end = Math.Min(Math.Min(end, before), kept);
            if (start < end && Survives())
            {
                await below.WriteZeroesAsync(start, end - start, mayUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None);
            }
        }

        foreach (long index in cache.Blocks.Order())
        {
            byte held = 0;
            var block = cache.BlockAt(index);
            for (int sector = 0; sector < CachedBlock.Sectors; sector++)
            {
                held |= (byte)(block.Holds(sector) && Survives() ? 1 << sector : 0);
            }

            _run.Set(index, block, held);
            await _run.WriteAsync(below, End);
        }

        if (below.Length != cache.Length && Survives())
        {
            await below.SetLengthAsync(cache.Length);
        }
    }
}
