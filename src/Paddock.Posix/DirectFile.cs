using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Paddock.Block.Concurrency;

namespace Paddock.Posix;

/// <summary>
/// Direct I/O on a file: whole blocks only, through aligned buffers, on the thread pool, as each call waits for the device. Requests that
/// share an edge block with a write take turns.
/// </summary>
internal sealed class DirectFile(OpenedFile file)
{
    /// <summary>The unit of direct I/O, in bytes.</summary>
    public const int BlockSize = 4096;

    private const int ChunkSize = 1 << 20;
    private const long LastBlock = long.MaxValue;

    private static readonly ConcurrentBag<byte[]> Buffers = [];

    private readonly RangeLock _blocks = new();

    /// <summary>The end of the block that holds the byte before an offset.</summary>
    public static long RoundUp(long offset) => (offset + BlockSize - 1) & -BlockSize;

    /// <summary>Fills a buffer; bytes past the end are zeroes.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer)
    {
        if (buffer.Length > 0)
        {
            await Task.Run(() => Read(offset, buffer.Span));
        }
    }

    /// <summary>Writes any range; blocks that it does not fill keep their other bytes.</summary>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data)
    {
        if (data.Length == 0)
        {
            return;
        }

        long end = offset + data.Length;
        bool whole = ((offset | end) & (BlockSize - 1)) == 0;
        while (true)
        {
            // whole blocks past the end leave a wrong length: no other request may change it until it is cut back
            bool tail = !whole && RoundUp(end) > file.Length;
            long first = offset / BlockSize, last = tail ? LastBlock : (end - 1) / BlockSize;
            await _blocks.AcquireAsync(first, last, exclusive: !whole);
            try
            {
                if (whole || tail || RoundUp(end) <= file.Length)
                {
                    await Task.Run(() => Write(offset, data.Span));
                    return;
                }
            }
            finally
            {
                _blocks.Release(first, last, exclusive: !whole);
            }
        }
    }

    /// <summary>Runs work that changes space or length while no write is in flight at or after an offset's block.</summary>
    public async ValueTask RunAloneAsync(long offset, Action work)
    {
        await _blocks.AcquireAsync(offset / BlockSize, LastBlock, exclusive: true);
        try
        {
            await Task.Run(work);
        }
        finally
        {
            _blocks.Release(offset / BlockSize, LastBlock, exclusive: true);
        }
    }

    /// <summary>
    /// Writes with the blocks locked by the caller; all further ones too if the last block is not whole and reaches past the end
    /// (<see cref="RunAloneAsync"/>).
    /// </summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        long length = Math.Max(file.Length, offset + data.Length);
        bool grew = false;
        var rented = Rent(out int start);
        try
        {
            while (data.Length > 0)
            {
                int skip = (int)(offset % BlockSize);
                int count = Math.Min(data.Length, ChunkSize - skip);
                var blocks = rented.AsSpan(start, (int)RoundUp(skip + count));
                ReadEdges(offset, count, blocks);
                data[..count].CopyTo(blocks[skip..]);
                file.WriteKeepingLength(offset - skip, blocks);
                grew |= offset - skip + blocks.Length > length;
                data = data[count..];
                offset += count;
            }
        }
        finally
        {
            Buffers.Add(rented);
            if (grew)
            {
                RandomAccess.SetLength(file.Handle, length);
            }
        }

        file.Grew(offset);
    }

    private void Read(long offset, Span<byte> rest)
    {
        var rented = Rent(out int start);
        try
        {
            while (rest.Length > 0)
            {
                int skip = (int)(offset % BlockSize);
                int count = Math.Min(rest.Length, ChunkSize - skip);
                var blocks = rented.AsSpan(start, (int)RoundUp(skip + count));
                ReadBlocks(offset - skip, blocks);
                blocks.Slice(skip, count).CopyTo(rest);
                rest = rest[count..];
                offset += count;
            }
        }
        finally
        {
            Buffers.Add(rented);
        }
    }

    /// <summary>Reads the first and the last block of a write where it does not fill them.</summary>
    private void ReadEdges(long offset, int count, Span<byte> blocks)
    {
        int skip = (int)(offset % BlockSize);
        if (skip > 0)
        {
            ReadBlocks(offset - skip, blocks[..BlockSize]);
        }

        if (skip + count < blocks.Length && (skip == 0 || blocks.Length > BlockSize))
        {
            ReadBlocks(offset - skip + blocks.Length - BlockSize, blocks[^BlockSize..]);
        }
    }

    private void ReadBlocks(long offset, Span<byte> blocks)
    {
        try
        {
            while (blocks.Length > 0)
            {
                int count = RandomAccess.Read(file.Handle, blocks, offset);

                // a count that is not whole blocks ends at the end of the file
                if (count % BlockSize != 0 || count == 0)
                {
                    blocks[count..].Clear();
                    return;
                }

                blocks = blocks[count..];
                offset += count;
            }
        }
        catch (Exception e) when (OpenedFile.IsFileFailure(e))
        {
            throw Errno.Translate(e, $"read of '{file.Name}' failed");
        }
    }

    /// <summary>A buffer that the collector does not move, with <see cref="ChunkSize"/> bytes from an aligned start on.</summary>
    private static unsafe byte[] Rent(out int start)
    {
        if (!Buffers.TryTake(out var rented))
        {
            rented = GC.AllocateUninitializedArray<byte>(ChunkSize + BlockSize, pinned: true);
        }

        nint address = (nint)Unsafe.AsPointer(ref rented[0]);
        start = (int)(-address & (BlockSize - 1));
        return rented;
    }
}
