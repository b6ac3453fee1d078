using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// A drive's volatile write cache below an image: data that was not flushed is only in memory, and a power cut (<see cref="CutAsync"/>)
/// drops it, all of it or all but some of its sectors. Beyond its size the oldest blocks are written through, as in a drive whose cache is
/// full.
/// </summary>
/// <remarks>
/// The contents are in a <see cref="SectorCache"/>; a <see cref="CacheDrain"/> moves them below. Memory: the size, and the data of requests
/// in flight. Space below is reserved when data enters the cache. Data that cannot be written below stays in the cache: a flush that fails
/// may succeed later.
/// </remarks>
internal sealed class VolatileStorage : IStorage
{
    /// <summary>Minimum size of the cache in bytes.</summary>
    public const long MinSize = 64 << 10;

    // a status query over this length is cheap
    private const long StatusSpan = 4L << 20;

    private readonly IStorage _below;
    private readonly SectorCache _cache;
    private readonly CacheDrain _drain;

    /// <param name="below">Storage that is durable once flushed; owned until <see cref="CutAsync"/> returns it.</param>
    /// <param name="size">Number of bytes of data in the cache before it writes the oldest through; at least <see cref="MinSize"/>.</param>
    public VolatileStorage(IStorage below, long size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, MinSize);
        _below = below;
        _cache = new SectorCache(below.Length);
        _drain = new CacheDrain(below, _cache, size);
    }

    /// <inheritdoc/>
    public string Name => _below.Name;

    /// <inheritdoc/>
    public long Length => _cache.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _below.IsReadOnly;

    /// <inheritdoc/>
    public long AllocatedBytes => _below.AllocatedBytes;

    /// <inheritdoc/>
    public int PreferredAlignment => _below.PreferredAlignment;

    /// <summary>Number of bytes of data that a power cut would drop now.</summary>
    public long UnflushedBytes
    {
        get
        {
            lock (_cache.Gate)
            {
                return _cache.Bytes;
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        List<(int At, int Length)>? gaps;
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            gaps = _cache.Read(offset, buffer.Span);
        }

        // data that was not cached at that moment is now below, or is newer: then a write overlapped this read
        foreach (var (at, length) in gaps)
        {
            await _below.ReadAsync(offset + at, buffer.Slice(at, length), cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => PutAsync(offset, data, data.Length, cancellationToken);

    /// <inheritdoc/>
    /// <remarks>Cheap in the cache; its effect on the storage below appears at the next flush.</remarks>
    public async ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        long first = SectorCache.RoundUp(offset), last = SectorCache.RoundDown(offset + length);
        if (first >= last)
        {
            await PutAsync(offset, default, (int)length, cancellationToken);
        }
        else
        {
            await PutAsync(offset, default, (int)(first - offset), cancellationToken);
            await PutAsync(last, default, (int)(offset + length - last), cancellationToken);
            if ((flags & ZeroFlags.MayUnmap) == 0)
            {
                await _drain.ReserveAsync(first, last - first, cancellationToken);
            }

            Zero(first, last, (flags & ZeroFlags.MayUnmap) != 0, grows: true);
            await _drain.MakeRoomAsync();
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Zero(SectorCache.RoundUp(offset), SectorCache.RoundDown(Math.Min(offset + length, Length)), mayUnmap: true, grows: false);
        return _drain.MakeRoomAsync();
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _below.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        // the length below follows with the next flush, like every other change
        bool reserved = await _drain.ReserveAsync(offset, length, cancellationToken);
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            _cache.Length = reserved && grows ? Math.Max(_cache.Length, offset + length) : _cache.Length;
        }

        return reserved;
    }

    /// <inheritdoc/>
    public async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (preallocation is Preallocation.Falloc or Preallocation.Full)
        {
            // space is reserved below at once
            await FlushAsync(cancellationToken);
            await _below.SetLengthAsync(length, preallocation, cancellationToken);
        }

        long edge = SectorCache.RoundUp(length);
        if (length < Length && edge > length)
        {
            await PutAsync(length, default, (int)(Math.Min(edge, Length) - length), cancellationToken);
        }

        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            if (length < _cache.Length)
            {
                _cache.Zero(edge, SectorCache.RoundUp(Math.Max(_cache.Length, _below.Length)), mayUnmap: true);
            }

            _cache.Length = length;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long limit = offset + Math.Min(length, StatusSpan), end = offset;
        CachePlace place;
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            (place, end) = _cache.Locate(offset, limit);
            while (end < limit && _cache.Locate(end, limit) is var next && next.Place == place)
            {
                end = next.End;
            }
        }

        return place switch
        {
            CachePlace.Block => new BlockStatus(end - offset, BlockStatusFlags.Data),
            CachePlace.Zeroes => new BlockStatus(end - offset, BlockStatusFlags.Zero),
            _ => await _below.GetStatusAsync(offset, end - offset, cancellationToken),
        };
    }

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => _below.OnEventAsync(eventName);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => _drain.FlushAsync(cancellationToken);

    /// <summary>
    /// Cuts the power. Every later request fails; a part of the data that was not flushed survives below, in no order, as on a real drive.
    /// </summary>
    /// <param name="keepPercent">Probability that a sector survives, 0 to 100.</param>
    /// <param name="seed">Seed of the random choice.</param>
    /// <returns>The storage below, owned by the caller.</returns>
    public async ValueTask<IStorage> CutAsync(int keepPercent = 0, int seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)keepPercent, 100u, nameof(keepPercent));
        lock (_cache.Gate)
        {
            _cache.Kill();
        }

        await _drain.DropAsync(keepPercent, new Random(seed));
        return _below;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_cache.IsDead)
        {
            return;
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

    /// <summary>Writes data (zeroes if it is empty) to the cache; a partly covered sector is completed from below.</summary>
    private async ValueTask PutAsync(long offset, ReadOnlyMemory<byte> data, int length, CancellationToken cancellationToken)
    {
        if (length == 0)
        {
            return;
        }

        await _drain.AwaitRoomAsync();
        await ReserveBelowAsync(offset, length, cancellationToken);
        byte[]? edges = null;
        long seen = -1;
        while (!TryPut(offset, data.Span, length, edges, seen))
        {
            edges ??= new byte[2 * CachedBlock.SectorSize];
            seen = _cache.Drained;
            long head = SectorCache.RoundDown(offset), tail = SectorCache.RoundDown(offset + length);
            await _below.ReadAsync(head, edges.AsMemory(0, CachedBlock.SectorSize), cancellationToken);
            await _below.ReadAsync(tail, edges.AsMemory(CachedBlock.SectorSize), cancellationToken);
        }

        await _drain.MakeRoomAsync();
    }

    // not for data that replaces cached data: its space has been reserved
    private ValueTask<bool> ReserveBelowAsync(long offset, int length, CancellationToken cancellationToken)
    {
        long start = SectorCache.RoundDown(offset), end = SectorCache.RoundUp(offset + length);
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            if (_cache.HoldsAll(start, end))
            {
                return new ValueTask<bool>(true);
            }
        }

        return _drain.ReserveAsync(start, end - start, cancellationToken);
    }

    private bool TryPut(long offset, ReadOnlySpan<byte> data, int length, byte[]? edges, long seen)
    {
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            return _cache.TryPut(offset, data, length, edges, seen);
        }
    }

    private void Zero(long start, long end, bool mayUnmap, bool grows)
    {
        lock (_cache.Gate)
        {
            _cache.ThrowIfDead();
            if (start < end)
            {
                _cache.Zero(start, end, mayUnmap);
                _cache.Length = grows ? Math.Max(_cache.Length, end) : _cache.Length;
            }
        }
    }
}
