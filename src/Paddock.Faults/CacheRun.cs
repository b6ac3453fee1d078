using Paddock.Block;
using static Paddock.Faults.CachedBlock;

namespace Paddock.Faults;

/// <summary>A copy of cached blocks to be written to the storage below: adjacent whole blocks, or a single one with holes.</summary>
internal sealed class CacheRun
{
    private const int MaxBlocks = 64;

    private readonly byte[] _bytes = new byte[MaxBlocks * Size];
    private readonly List<(long Index, long Changed)> _blocks = [];
    private byte _held;

    /// <summary>The blocks, each with its time of change when it was copied.</summary>
    public IReadOnlyList<(long Index, long Changed)> Blocks => _blocks;

    /// <summary>Number of blocks.</summary>
    public int Count => _blocks.Count;

    /// <summary>Whether the run has no room for another block.</summary>
    public bool IsFull => _blocks.Count == MaxBlocks;

    /// <summary>Empties the run.</summary>
    public void Clear() => _blocks.Clear();

    /// <summary>Copies a block.</summary>
    /// <returns>False if the block does not continue the run.</returns>
    public bool TryAdd(long index, CachedBlock block)
    {
        if (_blocks.Count > 0 && (block.Held != Whole || _held != Whole || _blocks[^1].Index + 1 != index))
        {
            return false;
        }

        block.Bytes.CopyTo(_bytes, _blocks.Count * Size);
        _blocks.Add((index, block.Changed));
        _held = block.Held;
        return true;
    }

    /// <summary>Copies some sectors of a block.</summary>
    public void Set(long index, CachedBlock block, byte held)
    {
        Clear();
        TryAdd(index, block);
        _held = held;
    }

    /// <summary>Writes the copied sectors.</summary>
    /// <param name="to">The storage below.</param>
    /// <param name="end">End of the storage: no sector is written beyond it.</param>
    public async ValueTask WriteAsync(IStorage to, long end)
    {
        if (_blocks.Count == 0)
        {
            return;
        }

        long offset = _blocks[0].Index * Size;
        int length = (int)Math.Min((long)_blocks.Count * Size, Math.Max(0, end - offset));
        if (_held == Whole && length > 0)
        {
            await to.WriteAsync(offset, _bytes.AsMemory(0, length));
            return;
        }

        for (int at = 0; at < length;)
        {
            int stop = at;
            while (stop < length && (_held & (1 << (stop / SectorSize))) != 0)
            {
                stop += SectorSize;
            }

            if (stop > at)
            {
                await to.WriteAsync(offset + at, _bytes.AsMemory(at, Math.Min(stop, length) - at));
            }

            at = Math.Max(stop, at + SectorSize);
        }
    }
}
