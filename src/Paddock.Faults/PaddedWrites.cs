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
    private readonly RangeLock _blocks = new();

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
                await ReadAroundAsync(offset - head, whole, head != 0, tail != 0, cancellationToken);
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
        var (first, last) = BlocksOf(offset, length);
        await _blocks.AcquireAsync(first, last, exclusive: false);
        try
        {
            await storage.WriteZeroesUnpaddedAsync(offset, length, flags, cancellationToken);
        }
        finally
        {
            _blocks.Release(first, last, exclusive: false);
        }
    }

    private (long First, long Last) BlocksOf(long offset, long length)
        => (offset / alignment, (offset + Math.Max(length, 1) - 1) / alignment);

    /// <summary>Reads the first block, the last block, or both, with QEMU's events: in one read if they adjoin.</summary>
    private async ValueTask ReadAroundAsync(long offset, Memory<byte> whole, bool head, bool tail, CancellationToken cancellationToken)
    {
        bool merged = whole.Length == alignment || (whole.Length == 2 * alignment && head && tail);
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
                await storage.ReadUnpaddedAsync(offset + whole.Length - alignment, whole[^alignment..], cancellationToken);
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
