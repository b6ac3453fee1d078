using System.Buffers;
using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Images.Copying;

/// <summary>Copies one disk to another: chunks are read while others are written.</summary>
internal sealed class CopyWork
{
    // the steps in which progress is reported are the peer's
    private const int Chunk = 2 << 20;

    private readonly CopyOptions _options;
    private readonly ICopySink _sink;
    private readonly SourceReader _reader;
    private readonly IBlockDevice _source;
    private readonly RateLimit? _rate;
    private readonly bool _inOrder;
    private readonly Lock _shown = new();
    private long _total;
    private long _copied;
    private volatile bool _cannotOffload;

    public CopyWork(IBlockDevice source, ICopySink sink, CopyOptions options, bool inOrder)
    {
        _source = source;
        _sink = sink;
        _options = options;
        _inOrder = inOrder || !options.OutOfOrder;
        _reader = new SourceReader(source, options.Unreadable, options.Unmapped, options.Below);
        _rate = options.BytesPerSecond > 0 ? new RateLimit(options.BytesPerSecond, options.Time) : null;
    }

    /// <summary>Copies ranges of the source, one after another.</summary>
    public async ValueTask RunAsync(IReadOnlyList<(long Start, long End)> ranges, CancellationToken cancellationToken)
    {
        // a copy that salvages data reports all failures of the block status first, as the peer does
        if (_options.Progress is not null || _options.Unmapped is not null)
        {
            _total = await CountAsync(ranges, cancellationToken);
            _options.Progress?.Invoke(0, _total);
        }

        foreach (var (start, end) in ranges)
        {
            await CopyRangeAsync(start, end, cancellationToken);
        }
    }

    private async ValueTask CopyRangeAsync(long start, long end, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var queue = new Pieces(this, start, end);
        var workers = new Task[Math.Max(1, _options.Parallel)];
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i] = Task.Run(() => WorkAsync(queue, stop), CancellationToken.None);
        }

        // all end before the devices may be closed; the first failure is the one that counts
        await Task.WhenAll(workers);
        queue.ThrowFailure();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private async Task WorkAsync(Pieces queue, CancellationTokenSource stop)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Chunk);
        try
        {
            while (await queue.NextAsync(stop.Token) is { } piece)
            {
                await CopyAsync(piece, buffer, stop.Token);
                piece.Done.SetResult();
            }
        }
        catch (Exception e)
        {
            // of any kind: a worker that ended without this would leave the others waiting for its piece
            queue.Fail(e);
            await stop.CancelAsync();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask CopyAsync(Piece piece, byte[] buffer, CancellationToken stop)
    {
        _options.Position?.Invoke(piece.At + piece.Count);
        if (piece.Kind == SourceRun.Data && !_cannotOffload && _options.CopyRange is { } copyRange)
        {
            if (await OffloadAsync(copyRange, piece, stop))
            {
                return;
            }

            _cannotOffload = true;
        }

        if (piece.Kind == SourceRun.Data)
        {
            await _reader.ReadAsync(piece.At, buffer.AsMemory(0, (int)piece.Count), stop);
        }

        if (_inOrder)
        {
            await piece.Before.WaitAsync(stop);
        }

        if (piece.Kind == SourceRun.Zero)
        {
            await ZeroAsync(piece.At - _options.Start, piece.Count, stop);
        }
        else if (piece.Kind == SourceRun.Data)
        {
            await WriteAsync(piece.At - _options.Start, buffer.AsMemory(0, (int)piece.Count), stop);
            Show(piece.Count);
        }
    }

    private async ValueTask<bool> OffloadAsync(Func<long, long, long, bool> copyRange, Piece piece, CancellationToken stop)
    {
        if (_rate is not null)
        {
            await _rate.PassAsync(piece.Count, stop);
        }

        try
        {
            if (!copyRange(piece.At, piece.At - _options.Start, piece.Count))
            {
                return false;
            }
        }
        catch (BlockException e) when (e is not CopyException)
        {
            throw new CopyException(isRead: false, piece.At - _options.Start, e);
        }

        Show(piece.Count);
        return true;
    }

    private async ValueTask WriteAsync(long at, ReadOnlyMemory<byte> data, CancellationToken stop)
    {
        for (int done = 0; done < data.Length;)
        {
            int run = RunOf(data.Span[done..], at + done, out bool isZero);
            if (isZero)
            {
                await ZeroAsync(at + done, run, stop);
            }
            else
            {
                await StoreAsync(at + done, data.Slice(done, run), stop);
            }

            done += run;
        }
    }

    private async ValueTask StoreAsync(long at, ReadOnlyMemory<byte> data, CancellationToken stop)
    {
        if (_rate is not null)
        {
            await _rate.PassAsync(data.Length, stop);
        }

        try
        {
            await _sink.WriteAsync(at, data, stop);
        }
        catch (BlockException e) when (e is not CopyException)
        {
            throw new CopyException(isRead: false, at, e);
        }
    }

    private async ValueTask ZeroAsync(long at, long length, CancellationToken stop)
    {
        try
        {
            await _sink.ZeroAsync(at, length, stop);
        }
        catch (BlockException e) when (e is not CopyException)
        {
            throw new CopyException(isRead: false, at, e);
        }
    }

    // a run of blocks that are all zero, or none of them
    private int RunOf(ReadOnlySpan<byte> data, long at, out bool isZero)
    {
        isZero = false;
        int block = _sink.ZeroBlock;
        if (block == 0)
        {
            return data.Length;
        }

        int length = Math.Min(block - (int)(at % block), data.Length);
        isZero = !data[..length].ContainsAnyExcept((byte)0);
        while (length < data.Length)
        {
            int more = Math.Min(block, data.Length - length);
            if (data.Slice(length, more).ContainsAnyExcept((byte)0) == isZero)
            {
                break;
            }

            length += more;
        }

        return length;
    }

    private async ValueTask<long> CountAsync(IReadOnlyList<(long Start, long End)> ranges, CancellationToken cancellationToken)
    {
        long total = 0;
        foreach (var (start, end) in ranges)
        {
            var queue = new Pieces(this, start, end);
            for (long at = start; at < end;)
            {
                var (kind, count) = await queue.RunAsync(at, long.MaxValue, cancellationToken);
                total += kind == SourceRun.Data ? count : 0;
                at += count;
            }
        }

        return total;
    }

    private void Show(long count)
    {
        if (_options.Progress is { } progress)
        {
            lock (_shown)
            {
                _copied += count;
                progress(_copied, _total);
            }
        }
    }

    /// <param name="Kind">What it is.</param>
    /// <param name="At">Where it lies in the source.</param>
    /// <param name="Count">Bytes.</param>
    /// <param name="Before">Completes when all pieces before it are written.</param>
    /// <param name="Done">Completed when this one is written.</param>
    private sealed record Piece(SourceRun Kind, long At, long Count, Task Before, TaskCompletionSource Done);

    /// <summary>Hands out a range of the source, piece by piece.</summary>
    private sealed class Pieces(CopyWork copy, long start, long end)
    {
        private readonly AsyncMutex _turn = new();
        private readonly int _unit = Math.Max(1, copy._sink.Unit);
        private Task _last = Task.CompletedTask;
        private Exception? _failure;
        private long _next = start;
        private (SourceRun Kind, long At, long End) _known;

        public async ValueTask<Piece?> NextAsync(CancellationToken stop)
        {
            await _turn.AcquireAsync();
            try
            {
                stop.ThrowIfCancellationRequested();
                if (_next >= end)
                {
                    return null;
                }

                var (kind, count) = await RunAsync(_next, Chunk, stop);
                var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                var piece = new Piece(kind, _next, count, _last, done);
                _next += count;
                _last = done.Task;
                return piece;
            }
            finally
            {
                _turn.Release();
            }
        }

        /// <summary>
        /// The run at an offset, in whole units of the target; one with data is at most <paramref name="most"/> bytes long.
        /// </summary>
        public async ValueTask<(SourceRun Kind, long Count)> RunAsync(long at, long most, CancellationToken stop)
        {
            var (kind, count) = await KnownAsync(at, stop);
            if (kind != SourceRun.Data && (count >= _unit || at + count == end))
            {
                return (kind, at + count == end ? count : count / _unit * _unit);
            }

            if (kind == SourceRun.Data || _unit > 1)
            {
                long whole = _unit == 1 ? count : Math.Min((count + _unit - 1) / _unit * _unit, end - at);
                return (SourceRun.Data, Math.Min(whole, most));
            }

            return (kind, count);
        }

        public void Fail(Exception failure)
        {
            if (failure is not OperationCanceledException)
            {
                Interlocked.CompareExchange(ref _failure, failure, null);
            }
        }

        public void ThrowFailure()
        {
            if (_failure is not null)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(_failure);
            }
        }

        // one long run is asked for once, not once for each chunk of it
        private async ValueTask<(SourceRun Kind, long Count)> KnownAsync(long at, CancellationToken stop)
        {
            if (at < _known.At || at >= _known.End)
            {
                try
                {
                    var (kind, length) = await copy._reader.StatusAsync(at, end - at, copy._options.TopLayerOnly, stop);
                    _known = (kind, at, at + length);
                }
                catch (BlockException e) when (e is not CopyException)
                {
                    throw new CopyException(isRead: true, at, e) { IsStatus = true };
                }
            }

            return (_known.Kind, Math.Min(_known.End, end) - at);
        }
    }
}
