namespace Paddock.Block;

/// <summary>Storage in memory, in pages allocated by the first write; nothing is durable and nothing fails.</summary>
/// <param name="name">Name for messages.</param>
public sealed class MemoryStorage(string name = "memory") : IStorage
{
    private const int PageSize = 65536;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]> _pages = [];
    private long _length;

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public long Length => Volatile.Read(ref _length);

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public long AllocatedBytes
    {
        get
        {
            lock (_lock)
            {
                return (long)_pages.Count * PageSize;
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            var rest = buffer.Span;
            while (rest.Length > 0)
            {
                var (page, at, count) = Locate(offset, rest.Length);
                if (_pages.TryGetValue(page, out var bytes))
                {
                    bytes.AsSpan(at, count).CopyTo(rest);
                }
                else
                {
                    rest[..count].Clear();
                }

                offset += count;
                rest = rest[count..];
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            var rest = data.Span;
            while (rest.Length > 0)
            {
                var (page, at, count) = Locate(offset, rest.Length);
                if (!_pages.TryGetValue(page, out var bytes))
                {
                    _pages.Add(page, bytes = new byte[PageSize]);
                }

                rest[..count].CopyTo(bytes.AsSpan(at));
                offset += count;
                rest = rest[count..];
            }

            _length = Math.Max(_length, offset);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            Clear(offset, length);
            _length = Math.Max(_length, offset + length);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            Clear(offset, Math.Min(length, _length - offset));
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
        // nothing is lost in memory
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    /// <inheritdoc/>
    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            _length = grows ? Math.Max(_length, offset + length) : _length;
        }

        return ValueTask.FromResult(true);
    }

    /// <inheritdoc/>
    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            if (length < _length)
            {
                Clear(length, _length - length);
            }

            _length = length;
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            bool data = _pages.ContainsKey(offset / PageSize);
            long end = offset;
            while (end < offset + length && _pages.ContainsKey(end / PageSize) == data)
            {
                end = ((end / PageSize) + 1) * PageSize;
            }

            long run = Math.Min(end, offset + length) - offset;
            return ValueTask.FromResult(new BlockStatus(run, data ? BlockStatusFlags.Data : BlockStatusFlags.Zero));
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static (long Page, int At, int Count) Locate(long offset, long length)
    {
        int at = (int)(offset % PageSize);
        return (offset / PageSize, at, (int)Math.Min(length, PageSize - at));
    }

    private void Clear(long offset, long length)
    {
        for (long end = offset + length; offset < end;)
        {
            var (page, at, count) = Locate(offset, end - offset);
            if (count == PageSize)
            {
                _pages.Remove(page);
            }
            else if (_pages.TryGetValue(page, out var bytes))
            {
                bytes.AsSpan(at, count).Clear();
            }

            offset += count;
        }
    }
}
