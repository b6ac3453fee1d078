using System.Buffers;

namespace Paddock.Block;

/// <summary>
/// A disk as a <see cref="Stream"/>: seekable, readable, and writable unless the disk is read-only. Its length is the disk's.
/// </summary>
/// <remarks>
/// <para>Nothing is buffered: each call is a request to the disk, so wrap the stream in a <see cref="BufferedStream"/> for many small
/// reads. A <see cref="Flush"/> makes what was written durable; disposing the stream does not flush.</para>
/// <para>If the disk accepts whole blocks only, the stream reads, changes and writes back the blocks at the ends of a write. Zone rules
/// hold as for any other write: a sequential zone is written at its write pointer, in whole blocks, or the write fails with
/// <see cref="ZoneException"/>.</para>
/// <para>Like other streams, it supports one caller at a time. After a failure <see cref="Position"/> is where the failed request
/// began.</para>
/// </remarks>
public sealed class BlockStream : Stream
{
    // a synchronous call with a span goes through a buffer of at most this many bytes
    private const int SpanPiece = 1 << 20;

    private readonly IBlockDevice _device;
    private readonly bool _leaveOpen;
    private readonly int _block;
    private readonly int _maxTransfer;
    private long _position;
    private bool _isClosed;

    /// <summary>Makes a stream over a disk, positioned at its first byte.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="leaveOpen">Whether disposing the stream leaves the disk open.</param>
    public BlockStream(IBlockDevice device, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        _leaveOpen = leaveOpen;
        _block = Math.Max(1, device.Limits.RequestAlignment);
        _maxTransfer = Math.Max(_block, device.Limits.MaxTransfer / _block * _block);
    }

    /// <inheritdoc/>
    public override bool CanRead => !_isClosed;

    /// <inheritdoc/>
    public override bool CanSeek => !_isClosed;

    /// <summary>False for a disk that is read-only, and after the stream was disposed.</summary>
    public override bool CanWrite => !_isClosed && !_device.IsReadOnly;

    /// <summary>Size of the disk in bytes.</summary>
    public override long Length
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            return _device.Length;
        }
    }

    /// <summary>Offset on the disk, in bytes, of the next read or write. It may lie past the end, where reads return 0 bytes.</summary>
    public override long Position
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            return _position;
        }

        set
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _position = value;
        }
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin)
    {
        long start = origin switch
        {
            SeekOrigin.Begin => 0,
            SeekOrigin.Current => Position,
            SeekOrigin.End => Length,
            _ => throw new ArgumentOutOfRangeException(nameof(origin), origin, null),
        };
        ObjectDisposedException.ThrowIf(_isClosed, this);
        return offset < -start || offset > long.MaxValue - start
            ? throw new IOException($"cannot seek to {offset} from {start}: the position would be negative or too large")
            : _position = start + offset;
    }

    /// <summary>Resizes the disk; new bytes read as zeroes.</summary>
    /// <param name="value">The new size in bytes.</param>
    /// <exception cref="BlockException">The disk cannot have this size.</exception>
    public override void SetLength(long value)
    {
        CheckWritable();
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        Wait(_device.ResizeAsync(value));
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">The disk failed the read.</exception>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return Wait(ReadAsync(buffer.AsMemory(offset, count)));
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">The disk failed the read.</exception>
    public override int Read(Span<byte> buffer)
    {
        byte[] piece = ArrayPool<byte>.Shared.Rent(Math.Min(buffer.Length, SpanPiece));
        try
        {
            int count = Wait(ReadAsync(piece.AsMemory(0, Math.Min(buffer.Length, SpanPiece))));
            piece.AsSpan(0, count).CopyTo(buffer);
            return count;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">The disk failed the read.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_isClosed, this);
        int count = (int)Math.Clamp(_device.Length - _position, 0, buffer.Length);
        for (int done = 0; done < count;)
        {
            int step = StepOf(count - done);
            if (IsWhole(step))
            {
                await _device.ReadAsync(_position, buffer.Slice(done, step), cancellationToken);
            }
            else
            {
                await ReadPartAsync(buffer.Slice(done, step), cancellationToken);
            }

            _position += step;
            done += step;
        }

        return count;
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">
    /// The disk failed the write, or it would reach past the disk's end: then nothing is written.
    /// </exception>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        Wait(WriteAsync(buffer.AsMemory(offset, count)));
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">
    /// The disk failed the write, or it would reach past the disk's end: then nothing is written.
    /// </exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        CheckWrite(buffer.Length);
        byte[] piece = ArrayPool<byte>.Shared.Rent(Math.Min(buffer.Length, SpanPiece));
        try
        {
            while (buffer.Length > 0)
            {
                // later pieces begin at whole blocks
                int count = (int)Math.Min(buffer.Length, SpanPiece - (_position % _block));
                buffer[..count].CopyTo(piece);
                Wait(WriteAsync(piece.AsMemory(0, count)));
                buffer = buffer[count..];
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <inheritdoc/>
    /// <exception cref="BlockException">
    /// The disk failed the write, or it would reach past the disk's end: then nothing is written.
    /// </exception>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        CheckWrite(buffer.Length);
        while (buffer.Length > 0)
        {
            int step = StepOf(buffer.Length);
            if (IsWhole(step))
            {
                await _device.WriteAsync(_position, buffer[..step], WriteFlags.None, cancellationToken);
            }
            else
            {
                await WritePartAsync(buffer[..step], cancellationToken);
            }

            _position += step;
            buffer = buffer[step..];
        }
    }

    /// <summary>Makes what was written durable.</summary>
    /// <exception cref="BlockException">The disk failed the flush.</exception>
    public override void Flush() => Wait(FlushDeviceAsync(CancellationToken.None));

    /// <summary>Makes what was written durable.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="BlockException">The disk failed the flush.</exception>
    public override Task FlushAsync(CancellationToken cancellationToken) => FlushDeviceAsync(cancellationToken).AsTask();

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        if (!_isClosed)
        {
            _isClosed = true;
            if (!_leaveOpen)
            {
                await _device.DisposeAsync();
            }
        }

        await base.DisposeAsync();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_isClosed)
        {
            _isClosed = true;
            if (!_leaveOpen)
            {
                Wait(_device.DisposeAsync());
            }
        }

        base.Dispose(disposing);
    }

    private static void Wait(ValueTask task)
    {
        if (task.IsCompleted)
        {
            task.GetAwaiter().GetResult();
            return;
        }

        task.AsTask().GetAwaiter().GetResult();
    }

    private static T Wait<T>(ValueTask<T> task)
        => task.IsCompleted ? task.GetAwaiter().GetResult() : task.AsTask().GetAwaiter().GetResult();

    private ValueTask FlushDeviceAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_isClosed, this);
        return _device.IsReadOnly ? ValueTask.CompletedTask : _device.FlushAsync(cancellationToken);
    }

    // how many of the next bytes go in one request: up to the end of a block that begins or ends in its middle, else whole blocks
    private int StepOf(int count)
    {
        int at = (int)(_position % _block);
        return at != 0 || count < _block ? Math.Min(count, _block - at) : Math.Min(count / _block * _block, _maxTransfer);
    }

    private bool IsWhole(int step) => _position % _block == 0 && step % _block == 0;

    private async ValueTask ReadPartAsync(Memory<byte> part, CancellationToken cancellationToken)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(_block);
        try
        {
            int at = (int)(_position % _block);
            await _device.ReadAsync(_position - at, block.AsMemory(0, _block), cancellationToken);
            block.AsSpan(at, part.Length).CopyTo(part.Span);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private async ValueTask WritePartAsync(ReadOnlyMemory<byte> part, CancellationToken cancellationToken)
    {
        CheckZone(part.Length);
        byte[] block = ArrayPool<byte>.Shared.Rent(_block);
        try
        {
            int at = (int)(_position % _block);
            await _device.ReadAsync(_position - at, block.AsMemory(0, _block), cancellationToken);
            part.CopyTo(block.AsMemory(at));
            await _device.WriteAsync(_position - at, block.AsMemory(0, _block), WriteFlags.None, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    // a block of a sequential zone is written once: it cannot be completed later
    private void CheckZone(int count)
    {
        if (_device.Zones is { Limits: var zoned } && _position / zoned.ZoneSize >= zoned.ConventionalZones)
        {
            throw new ZoneException(
                ZoneError.Unaligned,
                (int)(_position / zoned.ZoneSize),
                $"a write of {count} bytes at {_position} to a sequential zone: write whole blocks of {_block} bytes");
        }
    }

    private void CheckWrite(int count)
    {
        CheckWritable();
        if (count > Math.Max(0, _device.Length - _position))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"a write of {count} bytes at {_position} reaches past the end of the disk at {_device.Length}: resize the disk first");
        }
    }

    private void CheckWritable()
    {
        ObjectDisposedException.ThrowIf(_isClosed, this);
        if (_device.IsReadOnly)
        {
            throw new NotSupportedException("the disk is open for reading only");
        }
    }
}
