using System.Buffers;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Nbd;

/// <summary>
/// A disk at an NBD server for requests of any offset and length, for any minimum block of the server: partial blocks are read, changed and
/// written back. A size that is not in whole sectors is rounded up; the padding reads as zeroes and accepts only zeroes.
/// </summary>
/// <param name="client">The connection; owned.</param>
public sealed class NbdDisk(NbdClient client) : DelegatingDevice(client)
{
    private const int SectorSize = 512;

    // longest unaligned request that is sent as one; a longer one is split into an aligned middle and two ends
    private const int MergeLimit = 1 << 20;

    private readonly int _block = client.Limits.RequestAlignment;

    // in blocks: a partial write locks the whole block
    private readonly RangeLock _blocks = new();

    /// <summary>Connects to the disk of a server; requests to it are checked (<see cref="CheckedDevice"/>).</summary>
    /// <exception cref="BlockException">The server cannot be reached, or rejects the client.</exception>
    public static async ValueTask<IBlockDevice> OpenAsync(NbdTarget target, CancellationToken cancellationToken = default)
        => CheckedDevice.Wrap(new NbdDisk(await NbdClient.ConnectAsync(target, cancellationToken)));

    /// <summary>The connection.</summary>
    public NbdClient Client => client;

    /// <inheritdoc/>
    public override long Length => (client.Length + SectorSize - 1) & -SectorSize;

    /// <inheritdoc/>
    public override BlockLimits Limits => client.Limits with { RequestAlignment = 1, OptimalTransfer = _block };

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => IsWhole(offset, buffer.Length) ? client.ReadAsync(offset, buffer, cancellationToken)
            : ReadPartsAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _block == 1 && IsWhole(offset, data.Length)
            ? client.WriteAsync(offset, data, flags, cancellationToken) : WriteLockedAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _block == 1 && IsWhole(offset, length)
            ? client.WriteZeroesAsync(offset, length, flags, cancellationToken) : ZeroLockedAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    /// <remarks>A hint: partial blocks are not discarded.</remarks>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long from = (offset + _block - 1) & -(long)_block, end = Math.Min(offset + length, client.Length) & -(long)_block;
        return end > from ? client.DiscardAsync(from, end - from, cancellationToken) : default;
    }

    /// <inheritdoc/>
    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long size = client.Length;
        return offset < size ? client.GetStatusAsync(offset, Math.Min(length, size - offset), cancellationToken)
            : new(new BlockStatus(length, BlockStatusFlags.Zero | BlockStatusFlags.Allocated | BlockStatusFlags.EndOfDevice));
    }

    private bool IsWhole(long offset, long length) => ((offset | length) & (_block - 1)) == 0 && offset + length <= client.Length;

    // length of the part of a request before the end of the export
    private long Inside(long offset, long length) => Math.Clamp(client.Length - offset, 0, length);

    private async ValueTask ReadPartsAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int inside = (int)Inside(offset, buffer.Length);
        buffer.Span[inside..].Clear();
        buffer = buffer[..inside];
        while (buffer.Length > 0)
        {
            int count = Step(offset, buffer.Length);
            if (IsWhole(offset, count))
            {
                await client.ReadAsync(offset, buffer[..count], cancellationToken);
            }
            else
            {
                var (from, whole) = Around(offset, count);
                byte[] rented = ArrayPool<byte>.Shared.Rent(whole);
                try
                {
                    await client.ReadAsync(from, rented.AsMemory(0, whole), cancellationToken);
                    rented.AsSpan((int)(offset - from), count).CopyTo(buffer.Span);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(rented);
                }
            }

            offset += count;
            buffer = buffer[count..];
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WriteLockedAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        int inside = (int)Inside(offset, data.Length);
        if (data.Span[inside..].ContainsAnyExcept((byte)0))
        {
            throw new BlockException(
                BlockError.NoSpace,
                $"offset {offset}, length {data.Length}: data behind the end of the NBD export of {client.Length} bytes");
        }

        data = data[..inside];
        if (data.Length == 0)
        {
            return;
        }

        long first = offset / _block, last = (offset + data.Length - 1) / _block;
        bool isWhole = IsWhole(offset, data.Length);
        await _blocks.AcquireAsync(first, last, exclusive: !isWhole);
        try
        {
            if (isWhole)
            {
                await client.WriteAsync(offset, data, flags, cancellationToken);
            }
            else
            {
                await WritePartsAsync(offset, data, flags, cancellationToken);
            }
        }
        finally
        {
            _blocks.Release(first, last, exclusive: !isWhole);
        }
    }

    // the caller holds the lock of the blocks
    private async ValueTask WritePartsAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        while (data.Length > 0)
        {
            int count = Step(offset, data.Length);
            if (IsWhole(offset, count))
            {
                await client.WriteAsync(offset, data[..count], flags, cancellationToken);
            }
            else
            {
                await MergeAsync(offset, data[..count], count, flags, cancellationToken);
            }

            offset += count;
            data = data[count..];
        }
    }

    private async ValueTask ZeroLockedAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        length = Inside(offset, length);
        if (length == 0)
        {
            return;
        }

        // whole blocks first: if the server rejects them (a fast zero, for example), nothing has changed
        long from = (offset + _block - 1) & -(long)_block, end = (offset + length) & -(long)_block;
        long first = offset / _block, last = (offset + length - 1) / _block;
        bool isWhole = IsWhole(offset, length);
        var how = (flags & ZeroFlags.Fua) != 0 ? WriteFlags.Fua : WriteFlags.None;
        await _blocks.AcquireAsync(first, last, exclusive: !isWhole);
        try
        {
            if (end > from)
            {
                await client.WriteZeroesAsync(from, end - from, flags, cancellationToken);
            }

            if (offset < from)
            {
                await MergeAsync(offset, default, (int)(Math.Min(from, offset + length) - offset), how, cancellationToken);
            }

            if (offset + length > end && end >= from)
            {
                await MergeAsync(end, default, (int)(offset + length - end), how, cancellationToken);
            }
        }
        finally
        {
            _blocks.Release(first, last, exclusive: !isWhole);
        }
    }

    // reads the blocks that contain a part, changes it and writes them back; no data: zeroes
    private async ValueTask MergeAsync(
        long offset, ReadOnlyMemory<byte> data, int count, WriteFlags flags, CancellationToken cancellationToken)
    {
        var (from, whole) = Around(offset, count);
        byte[] rented = ArrayPool<byte>.Shared.Rent(whole);
        try
        {
            await client.ReadAsync(from, rented.AsMemory(0, whole), cancellationToken);
            var part = rented.AsSpan((int)(offset - from), count);
            if (data.IsEmpty)
            {
                part.Clear();
            }
            else
            {
                data.Span.CopyTo(part);
            }

            await client.WriteAsync(from, rented.AsMemory(0, whole), flags, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    // length of the next part of a request: all of it if short, else up to the first whole block, the whole blocks, the rest
    private int Step(long offset, int length)
    {
        int mask = _block - 1, before = (int)(-offset & mask);
        return length <= MergeLimit ? length : before > 0 ? before : length & ~mask;
    }

    private (long From, int Length) Around(long offset, int count)
    {
        long from = offset & -(long)_block;
        return (from, (int)(((offset + count + _block - 1) & -(long)_block) - from));
    }
}
