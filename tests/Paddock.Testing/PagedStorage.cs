using Paddock.Block;

namespace Paddock.Testing;

/// <summary>
/// In-memory storage with cheap copies: a copy shares the pages of its original until either is written. Not thread-safe: a simulation has
/// one thread.
/// </summary>
public sealed class PagedStorage : IStorage
{
    /// <summary>Page size in bytes.</summary>
    public const int PageSize = 4096;

    private byte[]?[] _pages = [];
    private bool[] _owned = [];
    private long _length;

    /// <param name="name">Name used in messages.</param>
    public PagedStorage(string name = "paged") => Name = name;

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long Length => _length;

    /// <inheritdoc/>
    public bool IsReadOnly { get; init; }

    /// <summary>Maximum length in bytes to which a request may grow the storage, so that a hostile image cannot exhaust memory.</summary>
    public long MaxLength { get; init; } = 1L << 40;

    /// <inheritdoc/>
    public long AllocatedBytes => (long)_pages.Count(page => page is not null) * PageSize;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <summary>Number of requests of any kind.</summary>
    public long Requests { get; private set; }

    /// <summary>
    /// Maximum number of requests; the next one fails with an exception other than <see cref="BlockException"/>, to detect loops.
    /// </summary>
    public long MaxRequests { get; init; } = long.MaxValue;

    /// <summary>Returns a copy that shares pages.</summary>
    public PagedStorage Clone(string? name = null, bool readOnly = false)
    {
        Array.Clear(_owned);
        return new PagedStorage(name ?? Name)
        {
            _pages = (byte[]?[])_pages.Clone(), _owned = new bool[_pages.Length], _length = _length, IsReadOnly = readOnly,
            MaxLength = MaxLength, MaxRequests = MaxRequests,
        };
    }

    /// <summary>Creates a storage with these contents.</summary>
    public static PagedStorage From(ReadOnlySpan<byte> bytes, string name = "paged")
    {
        var storage = new PagedStorage(name);
        storage.Write(0, bytes);
        return storage;
    }

    /// <summary>Returns all bytes.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[_length];
        Read(0, bytes);
        return bytes;
    }

    /// <summary>Reads; bytes past the end are zeroes.</summary>
    public void Read(long offset, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            long index = offset / PageSize;
            int at = (int)(offset % PageSize);
            int count = Math.Min(buffer.Length, PageSize - at);
            if (index < _pages.Length && _pages[index] is { } page)
            {
                page.AsSpan(at, count).CopyTo(buffer);
            }
            else
            {
                buffer[..count].Clear();
            }

            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <summary>Writes, growing the storage.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        CheckEnd(offset, data.Length);
        _length = Math.Max(_length, offset + data.Length);
        while (data.Length > 0)
        {
            int at = (int)(offset % PageSize);
            int count = Math.Min(data.Length, PageSize - at);
            data[..count].CopyTo(Own(offset / PageSize, whole: count == PageSize).AsSpan(at));
            offset += count;
            data = data[count..];
        }
    }

    /// <summary>Makes a range read as zeroes, growing the storage.</summary>
    public void Zero(long offset, long length)
    {
        CheckEnd(offset, length);
        _length = Math.Max(_length, offset + length);
        Clear(offset, length);
    }

    /// <summary>Number of pages of a range that are holes.</summary>
    public int HolesIn(long offset, long length)
    {
        int holes = 0;
        for (long index = offset / PageSize; length > 0 && index <= (offset + length - 1) / PageSize; index++)
        {
            holes += index < _pages.Length && _pages[index] is not null ? 0 : 1;
        }

        return holes;
    }

    /// <summary>Allocates every page of a range; contents and length are unchanged.</summary>
    public void Allocate(long offset, long length)
    {
        CheckEnd(offset, length);
        for (long index = offset / PageSize; length > 0 && index <= (offset + length - 1) / PageSize; index++)
        {
            _ = Own(index, whole: false);
        }
    }

    /// <summary>Truncates or grows the storage.</summary>
    public void SetLength(long length)
    {
        CheckEnd(0, length);
        if (length < _length)
        {
            Clear(length, _length - length);
        }

        _length = length;
    }

    /// <summary>Makes the existing part of a range a hole.</summary>
    public void Discard(long offset, long length)
    {
        if (offset < _length)
        {
            Clear(offset, length);
        }
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Count();
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        Read(offset, buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        Change();
        Write(offset, data.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        Change();
        Zero(offset, length);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Change();
        Discard(offset, length);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Count();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        if (grows && offset + length > _length)
        {
            SetLength(offset + length);
        }

        return ValueTask.FromResult(true);
    }

    /// <inheritdoc/>
    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        Change();
        SetLength(length);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Count();
        bool data = IsData(offset);
        long limit = offset + length;
        long end = offset;
        while (end < limit && IsData(end) == data)
        {
            end = ((end / PageSize) + 1) * PageSize;
        }

        long run = Math.Min(end, limit) - offset;
        return ValueTask.FromResult(new BlockStatus(run, data ? BlockStatusFlags.Data : BlockStatusFlags.Zero));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private bool IsData(long offset) => offset / PageSize < _pages.Length && _pages[offset / PageSize] is not null;

    private void Count()
    {
        if (++Requests > MaxRequests)
        {
            // only once: closing the image during unwinding must not hide the location of the loop
            Requests = long.MinValue;
            throw new InvalidOperationException($"{Name} was asked {MaxRequests} times: a loop");
        }
    }

    private void Change()
    {
        Count();
        if (IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, $"{Name} is open for reading only");
        }
    }

    private void CheckEnd(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > MaxLength || length > MaxLength - offset)
        {
            throw new BlockException(BlockError.TooLarge, $"{Name} cannot hold {length} bytes at {offset}");
        }
    }

    private byte[] Own(long index, bool whole)
    {
        if (index >= _pages.Length)
        {
            int size = (int)Math.Max(index + 1, _pages.Length * 2L);
            Array.Resize(ref _pages, size);
            Array.Resize(ref _owned, size);
        }

        ref byte[]? page = ref _pages[index];
        if (page is null || !_owned[index])
        {
            byte[]? shared = page;
            page = whole ? GC.AllocateUninitializedArray<byte>(PageSize) : new byte[PageSize];
            if (!whole)
            {
                shared?.CopyTo(page, 0);
            }

            _owned[index] = true;
        }

        return page;
    }

    private void Clear(long offset, long length)
    {
        long end = Math.Min(offset + length, (long)_pages.Length * PageSize);
        while (offset < end)
        {
            long index = offset / PageSize;
            int at = (int)(offset % PageSize);
            int count = (int)Math.Min(end - offset, PageSize - at);
            if (count == PageSize)
            {
                _pages[index] = null;
            }
            else if (_pages[index] is not null)
            {
                Own(index, whole: false).AsSpan(at, count).Clear();
            }

            offset += count;
        }
    }
}
