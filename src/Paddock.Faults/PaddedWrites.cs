using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Faults;

/// <summary>
/// Requests of a <see cref="FaultStorage"/> with an alignment (blkdebug's option <c>align</c>): a write that covers blocks in part
/// reads them first and writes them whole. Other requests to those blocks wait meanwhile.
/// </summary>
/// <param name="storage">Receives whole blocks, and notice of each step.</param>
/// <param name="alignment">Size of a block: a power of two.</param>
internal sealed class PaddedWrites(FaultStorage storage, int alignment)
{
    private readonly RangeLock _blocks = new(overtakes: true);

    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var (first, last) = BlocksOf(offset, buffer.Length);
        await _blocks.AcquireAsync(first, last, exclusive: false);
        try
        {
            await storage.ReadUnpaddedAsync(offset, buffer, cancellationToken);
        }
        finally
        {
            _blocks.Release(first, last, exclusive: false);
        }
    }

    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int head = (int)(offset & (alignment - 1));
        int tail = (int)(-(offset + data.Length) & (alignment - 1));
        bool isPartial = (head | tail) != 0;
        var (first, last) = BlocksOf(offset, data.Length);
        await _blocks.AcquireAsync(first, last, isPartial);
        try
        {
            if (isPartial && data.Length > 0)
            {
                var whole = new byte[head + data.Length + tail];
                await ReadAroundAsync(offset - head, whole.Length, whole, head != 0, tail != 0, cancellationToken);
                data.CopyTo(whole.AsMemory(head));
                (offset, data) = (offset - head, whole);
            }

            await storage.WriteUnpaddedAsync(offset, data, cancellationToken);
        }
        finally
        {
            _blocks.Release(first, last, isPartial);
        }
    }

    public async ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        int head = (int)(offset & (alignment - 1)), tail = (int)((offset + length) & (alignment - 1));
        bool isPartial = (head | tail) != 0;
        var (first, last) = BlocksOf(offset, length);
        await _blocks.AcquireAsync(first, last, isPartial);
        try
        {
            if (!isPartial || length == 0)
            {
                await storage.WriteZeroesUnpaddedAsync(offset, length, flags, cancellationToken);
                return;
            }

            await WriteZeroesAroundAsync(offset, length, flags, cancellationToken);
        }
        finally
        {
            _blocks.Release(first, last, isPartial);
        }
    }

    /// <summary>Writes zeroes whose first or last block is partial: these blocks as data, in one write if they adjoin.</summary>
    private async ValueTask WriteZeroesAroundAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        int head = (int)(offset & (alignment - 1)), tail = (int)((offset + length) & (alignment - 1));
        long start = offset - head, end = offset + length + (tail == 0 ? 0 : alignment - tail);
        bool merged = end - start == alignment || (end - start == 2 * alignment && head != 0 && tail != 0);
        var ends = new byte[merged ? end - start : 2 * alignment];
        await ReadAroundAsync(start, end - start, ends, head != 0, tail != 0, cancellationToken);
        if (merged)
        {
            ends.AsSpan(head, (int)length).Clear();
            await storage.WriteUnpaddedAsync(start, ends, cancellationToken);
            return;
        }

        if (head != 0)
        {
            ends.AsSpan(head, alignment - head).Clear();
            await storage.WriteUnpaddedAsync(start, ends.AsMemory(0, alignment), cancellationToken);
            start += alignment;
        }

        long middle = (tail == 0 ? end : end - alignment) - start;
        if (middle > 0)
        {
            await storage.WriteZeroesUnpaddedAsync(start, middle, flags, cancellationToken);
        }

        if (tail != 0)
        {
            ends.AsSpan(alignment, tail).Clear();
            await storage.WriteUnpaddedAsync(start + middle, ends.AsMemory(alignment), cancellationToken);
        }
    }

    private (long First, long Last) BlocksOf(long offset, long length)
        => (offset / alignment, (offset + Math.Max(length, 1) - 1) / alignment);

    /// <summary>Reads the first block, the last block, or both, with QEMU's events: in one read if they adjoin.</summary>
    /// <param name="offset">Where the first block begins.</param>
    /// <param name="length">Bytes from the start of the first block to the end of the last.</param>
    /// <param name="whole">Receives the first block at its start and the last at its end.</param>
    /// <param name="head">Whether the first block is read.</param>
    /// <param name="tail">Whether the last block is read.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    private async ValueTask ReadAroundAsync(
        long offset, long length, Memory<byte> whole, bool head, bool tail, CancellationToken cancellationToken)
    {
        bool merged = length == alignment || (length == 2 * alignment && head && tail);
        if (head)
        {
            await storage.OnEventAsync(FaultEvents.RmwHead);
            if (!merged)
            {
                await storage.ReadUnpaddedAsync(offset, whole[..alignment], cancellationToken);
                await storage.OnEventAsync(FaultEvents.RmwAfterHead);
            }
        }

        if (tail)
        {
            await storage.OnEventAsync(FaultEvents.RmwTail);
            if (!merged)
            {
                await storage.ReadUnpaddedAsync(offset + length - alignment, whole[^alignment..], cancellationToken);
                await storage.OnEventAsync(FaultEvents.RmwAfterTail);
            }
        }

        if (!merged)
        {
            return;
        }

        await storage.ReadUnpaddedAsync(offset, whole, cancellationToken);
        if (head)
        {
            await storage.OnEventAsync(FaultEvents.RmwAfterHead);
        }

        if (tail)
        {
            await storage.OnEventAsync(FaultEvents.RmwAfterTail);
        }
    }
}
