using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>Bytes in memory that take requests in whole blocks alone and have any size; flushes and requests can be made to fail.</summary>
internal sealed class BlocksDevice(long size, int block) : IBlockDevice
{
    private readonly byte[] _bytes = new byte[size];

    public byte[] Bytes => _bytes;

    public long Length => SizeFailure is { } failure ? throw failure : size;

    public IBlockDevice? Backing => null;

    public IZones? Zones => null;

    public void ThrowIfFlushFailed()
    {
    }

    public bool IsReadOnly => false;

    public BlockLimits Limits => new(block, 1 << 20, 0);

    /// <summary>When set, flushes fail with it.</summary>
    public BlockException? FlushFailure { get; set; }

    /// <summary>When set, writes fail with it.</summary>
    public BlockException? WriteFailure { get; set; }

    /// <summary>When set, nobody can tell the size.</summary>
    public Exception? SizeFailure { get; set; }

    public int Flushes { get; private set; }

    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Check(offset, buffer.Length);
        lock (_bytes)
        {
            _bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer.Span);
        }

        // others get in between a read and the write that follows it
        await Task.Yield();
    }

    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (WriteFailure is { } failure)
        {
            throw failure;
        }

        await Task.Yield();
        Check(offset, data.Length);
        lock (_bytes)
        {
            data.Span.CopyTo(_bytes.AsSpan((int)offset));
        }
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        Check(offset, length);
        lock (_bytes)
        {
            _bytes.AsSpan((int)offset, (int)length).Clear();
        }

        return default;
    }

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Check(offset, length);
        return default;
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Flushes++;
        return FlushFailure is { } failure ? throw failure : default;
    }

    public ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "no");

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated));

    public ValueTask DisposeAsync() => default;

    private void Check(long offset, long length)
    {
        if (((offset | length) & (block - 1)) != 0 || offset + length > size)
        {
            throw new BlockException(BlockError.InvalidArgument, $"offset {offset}, length {length}: not in blocks of {block}, or not inside");
        }
    }
}
