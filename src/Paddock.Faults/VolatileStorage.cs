using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Faults;

/// <summary>
/// A drive's volatile write cache under an image: what was not flushed is in memory alone, and a power cut (<see cref="CutAsync"/>) drops
/// it, whole or but for some of its sectors. Beyond its size the oldest blocks are written through, as a drive does when its cache is full.
/// </summary>
/// <remarks>
/// Blocks of 4 KiB, each with a mask of the sectors (512 bytes) that the cache holds. A sector is in a block, or in a range that waits to be
/// zeroed, or in neither: then the storage below has it. Memory: the size, and what the requests under way bring.
/// Space below is taken when data come into the cache. What cannot be written below stays here: a flush that fails may succeed later.
/// </remarks>
internal sealed partial class VolatileStorage : IStorage
{
    /// <summary>The smallest cache, in bytes.</summary>
    public const long MinSize = 64 << 10;

    private const int Sector = 512, BlockSize = 4096, SectorsInBlock = BlockSize / Sector;
    private const byte Whole = 0xFF;

    // a status is cheap for so much at once
    private const long StatusSpan = 4L << 20;

    private readonly IStorage _below;
    private readonly long _size;
    private readonly Lock _lock = new();
    private readonly AsyncMutex _draining = new();
    private readonly Dictionary<long, CachedBlock> _blocks = [];
    private readonly Queue<(long Index, long Birth)> _ages = new();
    private readonly ZeroRanges _zeroes = new();
    private long _length, _clock, _drained;
    private bool _dead;

    /// <summary>True while the storage below takes nothing more: the next write waits for room and fails if none appears.</summary>
    private volatile bool _overfull;

    /// <param name="below">What is durable once it is flushed; owned until <see cref="CutAsync"/> gives it back.</param>
    /// <param name="size">Bytes of data that the cache holds before it writes the oldest through; at least <see cref="MinSize"/>.</param>
    public VolatileStorage(IStorage below, long size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, MinSize);
        _below = below;
        _size = size;
        _length = below.Length;
    }

    private enum Place
    {
        Block,
        Zeroes,
        Below,
    }

    /// <inheritdoc/>
    public string Name => _below.Name;

    /// <inheritdoc/>
    public long Length => Volatile.Read(ref _length);

    /// <inheritdoc/>
    public bool IsReadOnly => _below.IsReadOnly;

    /// <inheritdoc/>
    public long AllocatedBytes => _below.AllocatedBytes;

    /// <inheritdoc/>
    public int PreferredAlignment => _below.PreferredAlignment;

    /// <summary>Bytes of data that a power cut would drop now.</summary>
    public long UnflushedBytes
    {
        get
        {
            lock (_lock)
            {
                return (long)_blocks.Count * BlockSize;
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        List<(int At, int Length)>? gaps;
        lock (_lock)
        {
            ThrowIfDead();
            gaps = _blocks.Count == 0 && _zeroes.Count == 0 ? [(0, buffer.Length)] : Gather(offset, buffer.Span);
        }

        // what the cache did not hold at that moment is below now, or newer: then a write overlapped this read
        foreach (var (at, length) in gaps)
        {
            await _below.ReadAsync(offset + at, buffer.Slice(at, length), cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => PutAsync(offset, data, data.Length, cancellationToken);

    /// <inheritdoc/>
    /// <remarks>Cheap in the cache; what the storage below makes of it shows when it is flushed.</remarks>
    public async ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        long first = RoundUp(offset), last = (offset + length) / Sector * Sector;
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
                await TakeBelowAsync(first, last - first, cancellationToken);
            }

            Zero(first, last, (flags & ZeroFlags.MayUnmap) != 0, grows: true);
            await MakeRoomAsync();
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Zero(RoundUp(offset), Math.Min(offset + length, Length) / Sector * Sector, mayUnmap: true, grows: false);
        return MakeRoomAsync();
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _below.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        // the length below follows with the next flush, as with every other change
        bool reserved = await TakeBelowAsync(offset, length, cancellationToken);
        lock (_lock)
        {
            ThrowIfDead();
            Volatile.Write(ref _length, reserved && grows ? Math.Max(_length, offset + length) : _length);
        }

        return reserved;
    }

    /// <inheritdoc/>
    public async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (preallocation is Preallocation.Falloc or Preallocation.Full)
        {
            // space is reserved below, at once
            await FlushAsync(cancellationToken);
            await _below.SetLengthAsync(length, preallocation, cancellationToken);
        }

        long edge = RoundUp(length);
        if (length < Length && edge > length)
        {
            await PutAsync(length, default, (int)(Math.Min(edge, Length) - length), cancellationToken);
        }

        lock (_lock)
        {
            ThrowIfDead();
            if (length < _length)
            {
                long end = RoundUp(Math.Max(_length, _below.Length));
                Forget(edge, end);
                _zeroes.Add(edge, end, mayUnmap: true);
            }

            Volatile.Write(ref _length, length);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long limit = offset + Math.Min(length, StatusSpan), end = offset;
        Place place;
        lock (_lock)
        {
            ThrowIfDead();
            (place, end) = Locate(offset, limit);
            while (end < limit && Locate(end, limit) is var next && next.Place == place)
            {
                end = next.End;
            }
        }

        return place switch
        {
            Place.Block => new BlockStatus(end - offset, BlockStatusFlags.Data),
            Place.Zeroes => new BlockStatus(end - offset, BlockStatusFlags.Zero),
            _ => await _below.GetStatusAsync(offset, end - offset, cancellationToken),
        };
    }

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => _below.OnEventAsync(eventName);

    private static long RoundUp(long position) => (position + Sector - 1) / Sector * Sector;

    private static BlockException PowerIsGone() => new(BlockError.NoMedium, "the power was cut");

    private void ThrowIfDead()
    {
        if (_dead)
        {
            throw PowerIsGone();
        }
    }

    // copies what the cache holds and gives back what it does not
    private List<(int At, int Length)> Gather(long offset, Span<byte> buffer)
    {
        var gaps = new List<(int At, int Length)>();
        for (int at = 0; at < buffer.Length;)
        {
            long position = offset + at;
            var (place, end) = Locate(position, offset + buffer.Length);
            int length = (int)(end - position);
            var part = buffer.Slice(at, length);
            if (place == Place.Block)
            {
                _blocks[position / BlockSize].Bytes.AsSpan((int)(position % BlockSize), length).CopyTo(part);
            }
            else if (place == Place.Zeroes)
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

    // where the newest contents of a position are, and of how much behind it, inside its block, the same holds
    private (Place Place, long End) Locate(long position, long end)
    {
        long start = position / BlockSize * BlockSize;
        end = Math.Min(end, start + BlockSize);
        if (_blocks.TryGetValue(position / BlockSize, out var block))
        {
            int sector = (int)(position - start) / Sector, next = sector + 1;
            bool held = block.Holds(sector);
            while (next < SectorsInBlock && block.Holds(next) == held)
            {
                next++;
            }

            end = Math.Min(end, start + (next * Sector));
            if (held)
            {
                return (Place.Block, end);
            }
        }

        var (zero, run) = _zeroes.Locate(position, end);
        return (zero ? Place.Zeroes : Place.Below, run);
    }

    private void Zero(long start, long end, bool mayUnmap, bool grows)
    {
        lock (_lock)
        {
            ThrowIfDead();
            if (start < end)
            {
                Forget(start, end);
                _zeroes.Add(start, end, mayUnmap);
                Volatile.Write(ref _length, grows ? Math.Max(_length, end) : _length);
            }
        }
    }

    /// <summary>A block of the cache.</summary>
    private sealed class CachedBlock
    {
        public readonly byte[] Bytes = new byte[BlockSize];

        /// <summary>Bit n: sector n is here.</summary>
        public byte Held { get; set; }

        /// <summary>When it came into the cache.</summary>
        public long Birth { get; set; }

        /// <summary>When it was last changed.</summary>
        public long Changed { get; set; }

        public bool Holds(int sector) => (Held & (1 << sector)) != 0;
    }
}
