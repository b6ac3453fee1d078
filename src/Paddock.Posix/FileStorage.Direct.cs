using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Paddock.Block.Concurrency;

namespace Paddock.Posix;

/// <summary>
/// Direct I/O: whole blocks only, through aligned buffers, on the thread pool, as each call waits for the device. Requests that share
/// an edge block with a write take turns.
/// </summary>
public sealed partial class FileStorage
{
    private const int DirectBlock = 4096, DirectChunk = 1 << 20;
    private const long LastBlock = long.MaxValue;

    private static readonly ConcurrentBag<byte[]> Buffers = [];

    private readonly RangeLock _blocks = new();
    private readonly bool _direct;

    private async ValueTask ReadDirectAsync(long offset, Memory<byte> buffer)
    {
        if (buffer.Length > 0)
        {
            await Task.Run(() => ReadDirect(offset, buffer.Span));
        }
    }

    private async ValueTask WriteDirectAsync(long offset, ReadOnlyMemory<byte> data)
    {
        if (data.Length == 0)
        {
            return;
        }

        long end = offset + data.Length;
        bool whole = ((offset | end) & (DirectBlock - 1)) == 0;
        while (true)
        {
            // whole blocks past the end leave a length that is not right: nobody else may change it until it is cut back
            bool tail = !whole && RoundUp(end) > Length;
            long first = offset / DirectBlock, last = tail ? LastBlock : (end - 1) / DirectBlock;
            await _blocks.AcquireAsync(first, last, exclusive: !whole);
            try
            {
                if (whole || tail || RoundUp(end) <= Length)
                {
                    await Task.Run(() => WriteDirect(offset, data.Span));
                    return;
                }
            }
            finally
            {
                _blocks.Release(first, last, exclusive: !whole);
            }
        }
    }

    /// <summary>Does what changes space or length while no write is under way from a block on.</summary>
    private async ValueTask AloneAsync(long offset, Action work)
    {
        await _blocks.AcquireAsync(offset / DirectBlock, LastBlock, exclusive: true);
        try
        {
            await Task.Run(work);
        }
        finally
        {
            _blocks.Release(offset / DirectBlock, LastBlock, exclusive: true);
        }
    }

    private void ReadDirect(long offset, Span<byte> rest)
    {
        var rented = Rent(out int start);
        try
        {
            while (rest.Length > 0)
            {
                int skip = (int)(offset % DirectBlock);
                int count = Math.Min(rest.Length, DirectChunk - skip);
                var block = rented.AsSpan(start, (int)RoundUp(skip + count));
                ReadBlocks(offset - skip, block);
                block.Slice(skip, count).CopyTo(rest);
                rest = rest[count..];
                offset += count;
            }
        }
        finally
        {
            Buffers.Add(rented);
        }
    }

    /// <summary>Under a hold on the blocks; on all further ones too where the last block is not whole and reaches past the end.</summary>
    private void WriteDirect(long offset, ReadOnlySpan<byte> rest)
    {
        long length = Math.Max(Length, offset + rest.Length);
        bool grew = false;
        var rented = Rent(out int start);
        try
        {
            while (rest.Length > 0)
            {
                int skip = (int)(offset % DirectBlock);
                int count = Math.Min(rest.Length, DirectChunk - skip);
                var block = rented.AsSpan(start, (int)RoundUp(skip + count));
                if (skip > 0)
                {
                    ReadBlocks(offset - skip, block[..DirectBlock]);
                }

                if (skip + count < block.Length && (skip == 0 || block.Length > DirectBlock))
                {
                    ReadBlocks(offset - skip + block.Length - DirectBlock, block[^DirectBlock..]);
                }

                rest[..count].CopyTo(block[skip..]);
                WriteBlocks(offset - skip, block);
                grew |= offset - skip + block.Length > length;
                rest = rest[count..];
                offset += count;
            }
        }
        finally
        {
            Buffers.Add(rented);
            if (grew)
            {
                RandomAccess.SetLength(_file, length);
            }
        }

        Grew(offset);
    }

    private void ReadBlocks(long offset, Span<byte> blocks)
    {
        try
        {
            while (blocks.Length > 0)
            {
                int count = RandomAccess.Read(_file, blocks, offset);

                // a count that is not whole blocks ends at the end of the file
                if (count % DirectBlock != 0 || count == 0)
                {
                    blocks[count..].Clear();
                    return;
                }

                blocks = blocks[count..];
                offset += count;
            }
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"read of '{Name}' failed");
        }
    }

    private void WriteBlocks(long offset, ReadOnlySpan<byte> blocks)
    {
        try
        {
            RandomAccess.Write(_file, blocks, offset);
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"write to '{Name}' failed");
        }
    }

    private static long RoundUp(long value) => (value + DirectBlock - 1) & -DirectBlock;

    /// <summary>A buffer of <see cref="DirectChunk"/> bytes that the collector does not move, from an aligned start on.</summary>
    private static unsafe byte[] Rent(out int start)
    {
        if (!Buffers.TryTake(out var rented))
        {
            rented = GC.AllocateUninitializedArray<byte>(DirectChunk + DirectBlock, pinned: true);
        }

        nint address = (nint)Unsafe.AsPointer(ref rented[0]);
        start = (int)(-address & (DirectBlock - 1));
        return rented;
    }
}
