using System.Net;
using System.Net.Http.Headers;
using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>A file at an HTTP server, read by ranges (RFC 9110 14).</summary>
internal sealed class HttpStorage : IStorage
{
    // at most this many blocks are kept
    private const int MaxBlocks = 32;

    private readonly HttpClient _client;
    private readonly HttpSource _source;
    private readonly Uri _uri;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, Task<byte[]>> _blocks = [];
    private readonly Queue<long> _order = new();
    private EntityTagHeaderValue? _tag;
    private DateTimeOffset? _modified;

    private HttpStorage(HttpSource source)
    {
        _source = source;
        _uri = source.Address;
        _client = source.CreateClient();
    }

    /// <inheritdoc/>
    public string Name => _source.Url;

    /// <inheritdoc/>
    public long Length { get; private set; }

    /// <inheritdoc/>
    public bool IsReadOnly => true;

    /// <inheritdoc/>
    public long AllocatedBytes => -1;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <summary>Asks the server for the size, and whether it serves ranges.</summary>
    /// <exception cref="BlockException">It cannot be reached, lacks the file, or does not serve ranges.</exception>
    public static async ValueTask<HttpStorage> OpenAsync(HttpSource source, CancellationToken cancellationToken)
    {
        var storage = new HttpStorage(source);
        try
        {
            await storage.GuardAsync(storage.ReadSizeAsync, cancellationToken);
            return storage;
        }
        catch
        {
            storage._client.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int inside = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer[inside..].Span.Clear();
        buffer = buffer[..inside];
        if (buffer.Length >= _source.ReadAhead)
        {
            await FetchAsync(offset, buffer, cancellationToken);
            return;
        }

        while (buffer.Length > 0)
        {
            long block = offset / _source.ReadAhead;
            byte[] bytes = await BlockAsync(block);
            int at = (int)(offset - (block * _source.ReadAhead)), count = Math.Min(buffer.Length, bytes.Length - at);
            bytes.AsMemory(at, count).CopyTo(buffer);
            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => default;

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
    }

    /// <inheritdoc/>
    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, offset));

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return default;
    }

    private static BlockException ReadOnly() => new(BlockError.ReadOnly, "http and https block devices do not support writes");

    private async Task<byte[]> BlockAsync(long block)
    {
        Task<byte[]>? task;
        lock (_lock)
        {
            if (!_blocks.TryGetValue(block, out task))
            {
                while (_order.Count >= MaxBlocks)
                {
                    _blocks.Remove(_order.Dequeue());
                }

                _blocks[block] = task = LoadAsync(block);
                _order.Enqueue(block);
            }
        }

        try
        {
            return await task;
        }
        catch (BlockException)
        {
            lock (_lock)
            {
                if (_blocks.GetValueOrDefault(block) == task)
                {
                    _blocks.Remove(block);
                }
            }

            throw;
        }
    }

    private async Task<byte[]> LoadAsync(long block)
    {
        await Task.Yield();
        long offset = block * _source.ReadAhead;
        byte[] bytes = new byte[Math.Min(_source.ReadAhead, Length - offset)];
        await FetchAsync(offset, bytes, CancellationToken.None);
        return bytes;
    }

    private ValueTask FetchAsync(long offset, Memory<byte> into, CancellationToken cancellationToken)
        => GuardAsync(limit => FetchAsync(offset, into, limit), cancellationToken);

    private async Task FetchAsync(long offset, Memory<byte> into, CancellationTokenSource limit)
    {
        using var response = await AskAsync(offset, offset + into.Length - 1, limit.Token);
        var range = response.Content.Headers.ContentRange;
        if (response.StatusCode != HttpStatusCode.PartialContent || range?.From != offset || range.Length != Length
            || (_tag is not null && response.Headers.ETag?.Tag != _tag.Tag) || response.Content.Headers.LastModified != _modified)
        {
            throw Failure($"bytes {offset} to {offset + into.Length - 1} came with status {(int)response.StatusCode}, or the file changed");
        }

        await using var body = await response.Content.ReadAsStreamAsync(limit.Token);
        while (into.Length > 0)
        {
            // the limit is for each step, so that a large range on a slow line is no failure
            limit.CancelAfter(_source.Timeout);
            int count = await body.ReadAsync(into, limit.Token);
            into = count > 0 ? into[count..] : throw Failure("the server disconnected within a range");
        }
    }

    private async Task ReadSizeAsync(CancellationTokenSource limit)
    {
        using var response = await AskAsync(0, 0, limit.Token);
        var headers = response.Content.Headers;
        _tag = response.Headers.ETag;
        _modified = headers.LastModified;
        Length = response.StatusCode switch
        {
            HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable when headers.ContentRange?.Length is { } size
                => size <= long.MaxValue - 511 ? size : throw Failure($"a file of {size} bytes"),
            HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable
                => throw Failure("Server didn't report file size."),
            HttpStatusCode.OK => throw Failure("Server does not support 'range' (byte ranges)."),
            var status => throw Failure($"The requested URL returned error: {(int)status}"),
        };
    }

    private async Task<HttpResponseMessage> AskAsync(long from, long to, CancellationToken stop)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, _uri);
        request.Headers.Range = new RangeHeaderValue(from, to);
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        return await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
    }

    private async ValueTask GuardAsync(Func<CancellationTokenSource, Task> work, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_source.Timeout);
        try
        {
            await work(limit);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw Failure($"Timeout was reached ({_source.Timeout.TotalSeconds:0} s without data)", e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException and not BlockException)
        {
            throw Failure((e.InnerException ?? e).Message, e);
        }
    }

    private static BlockException Failure(string why, Exception? inner = null)
        => new(BlockError.Io, "CURL: Error opening file: " + EscapedText.Escape(why), inner);
}
