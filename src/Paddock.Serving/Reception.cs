namespace Paddock.Serving;

/// <summary>What to do with a client when all slots are taken and none can be freed.</summary>
internal enum WhenFull
{
    /// <summary>Leaves it in the listener's queue until another client disconnects.</summary>
    Wait,

    /// <summary>Disconnects it immediately.</summary>
    Refuse,
}

/// <summary>
/// Accepts and disconnects the clients of a server: its listeners, the connection limit, and shutdown. All servers share it; the type of
/// socket and the protocol are the server's own.
/// </summary>
/// <typeparam name="TSocket">An accepted connection.</typeparam>
/// <typeparam name="TClient">A client of the server.</typeparam>
internal sealed class Reception<TSocket, TClient> : IAsyncDisposable
    where TSocket : class, IDisposable
    where TClient : class, IServedClient
{
    // delay after a failed accept: there may be no free descriptor, and an immediate retry would spin
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    // interval between searches for a client to evict while another waits for a slot
    private static readonly TimeSpan Recheck = TimeSpan.FromMilliseconds(100);

    // time for a client to send a request after its handshake before it may be evicted
    private const long IntroducedMilliseconds = 10_000;

    private readonly Lock _lock = new();
    private readonly HashSet<TClient> _clients = [];
    private readonly HashSet<TClient> _evicted = [];
    private readonly SemaphoreSlim _places;
    private readonly WhenFull _whenFull;
    private readonly TimeProvider _time;
    private readonly Func<TSocket, TClient?> _meet;
    private readonly Action<TClient> _begin;
    private readonly Action<TClient>? _discard;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<(IDisposable Listener, Task Loop)> _listeners = [];
    private readonly TaskCompletionSource _allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _empty;
    private long _accepted;
    private bool _stopping;
    private volatile bool _admits = true;

    /// <param name="limit">Connection limit, at least 1.</param>
    /// <param name="whenFull">What to do with a client when the connection limit is reached.</param>
    /// <param name="meet">Creates a client for a socket and takes ownership of the socket; returns null if it cannot be served.</param>
    /// <param name="begin">Starts to serve it on another thread, which must call <see cref="Leave"/> at the end.</param>
    /// <param name="discard">Releases what a client holds that is not served: the server stops, or <paramref name="begin"/> failed.</param>
    /// <param name="time">The clock.</param>
    public Reception(
        int limit, WhenFull whenFull, Func<TSocket, TClient?> meet, Action<TClient> begin, Action<TClient>? discard = null,
        TimeProvider? time = null)
    {
        _places = new SemaphoreSlim(limit);
        _whenFull = whenFull;
        _meet = meet;
        _begin = begin;
        _discard = discard;
        _time = time ?? TimeProvider.System;
    }

    /// <summary>Raised before a client is disconnected because no slot or memory is available.</summary>
    public event Action<TSocket>? Refused;

    /// <summary>Raised before a client is evicted to free its slot for another.</summary>
    public event Action<TClient>? Evicted;

    /// <summary>Time for the handshake of a client before it may be evicted, when all slots are taken and another client waits.</summary>
    public TimeSpan HandshakePatience { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// Time without a request after which a client that was served may be evicted, when all slots are taken and another client waits; zero:
    /// never, and neither is a client that has finished its handshake.
    /// </summary>
    public TimeSpan IdleEviction { get; init; }

    /// <summary>
    /// How long to wait for an evicted client, whose requests may complete late, to free its slot before another client is evicted.
    /// </summary>
    public TimeSpan LeavingPatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Current clients.</summary>
    public TClient[] Clients
    {
        get
        {
            lock (_lock)
            {
                return [.. _clients];
            }
        }
    }

    /// <summary>Number of current clients.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _clients.Count;
            }
        }
    }

    /// <summary>Number of accepted clients.</summary>
    public long Accepted => Interlocked.Read(ref _accepted);

    /// <summary>Cancelled when the server stops.</summary>
    public CancellationToken Stopping => _stop.Token;

    /// <summary>Starts accepting clients from a listener.</summary>
    /// <param name="listener">Owned: disposed when the server stops.</param>
    /// <param name="accept">Waits for the listener's next connection.</param>
    public void Listen(IDisposable listener, Func<CancellationToken, ValueTask<TSocket>> accept)
        => _listeners.Add((listener, Task.Run(() => AcceptAsync(accept))));

    /// <summary>Serves a client on an existing connection; waits for a slot like any other client.</summary>
    public void Take(TSocket socket)
    {
        bool hasPlace = _places.Wait(0);
        if (!hasPlace && _whenFull == WhenFull.Wait)
        {
            try
            {
                _places.Wait(_stop.Token);
            }
            catch
            {
                // the server is stopping: the connection is ours, and nothing will serve it
                socket.Dispose();
                throw;
            }

            hasPlace = true;
        }

        Start(socket, hasPlace);
    }

    /// <summary>Removes a client that has disconnected.</summary>
    /// <returns>Number of remaining clients.</returns>
    public int Leave(TClient client)
    {
        int left;
        bool last;
        TaskCompletionSource? empty = null;
        lock (_lock)
        {
            _clients.Remove(client);
            _evicted.Remove(client);
            left = _clients.Count;
            last = _stopping && left == 0;
            if (left == 0)
            {
                (empty, _empty) = (_empty, null);
            }

            _places.Release();
        }

        if (last)
        {
            _allGone.TrySetResult();
        }

        empty?.SetResult();
        return left;
    }

    /// <summary>Whether new clients are accepted; otherwise they are disconnected at once, as by a server without power.</summary>
    public bool Admits
    {
        get => _admits;
        set => _admits = value;
    }

    /// <summary>Waits until all clients have disconnected and their requests have completed.</summary>
    /// <param name="limit">Maximum duration of the wait.</param>
    public async Task GoneAsync(TimeSpan limit)
    {
        Task empty;
        lock (_lock)
        {
            if (_clients.Count == 0)
            {
                return;
            }

            empty = (_empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }

        try
        {
            await empty.WaitAsync(limit, _time);
        }
        catch (TimeoutException)
        {
            // the caller continues with the remaining clients
        }
    }

    /// <summary>Drops every connection immediately; new clients are still accepted.</summary>
    public void AbortAll()
    {
        foreach (var client in Clients)
        {
            client.Abort();
        }
    }

    /// <summary>
    /// Stops accepting clients and requests, and waits until the requests in flight have been answered; disconnects the remaining clients
    /// at the time limit.
    /// </summary>
    public async Task StopAsync(TimeSpan limit)
    {
        await _stop.CancelAsync();
        foreach (var (listener, loop) in _listeners)
        {
            await loop;
            listener.Dispose();
        }

        lock (_lock)
        {
            _stopping = true;
            if (_clients.Count == 0)
            {
                _allGone.TrySetResult();
            }
        }

        foreach (var client in Clients)
        {
            client.Finish();
        }

        try
        {
            await _allGone.Task.WaitAsync(limit, _time);
        }
        catch (TimeoutException)
        {
            // a client that reads no replies must not delay the others
            AbortAll();
            await _allGone.Task;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        _stop.Dispose();
        _places.Dispose();
    }

    private async Task AcceptAsync(Func<CancellationToken, ValueTask<TSocket>> accept)
    {
        while (!_stop.IsCancellationRequested)
        {
            TSocket? socket = null;
            try
            {
                // accept before there is a free slot: only an accepted client shows that one is needed
                socket = await accept(_stop.Token);
                bool hasPlace = _admits && await PlaceAsync();
                (var taken, socket) = (socket, null);
                Start(taken, hasPlace);
            }
            catch (Exception) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception)
            {
                // the client disconnected at once, or no descriptor or thread is free: none of these may stop the server
                await Task.Delay(Pause, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            finally
            {
                socket?.Dispose();
            }
        }
    }

    // reserves a slot for a waiting client; false if none is available and new clients are not to wait
    private async ValueTask<bool> PlaceAsync()
    {
        while (!_places.Wait(0))
        {
            bool freed = Evict();
            if (!freed && _whenFull == WhenFull.Refuse)
            {
                return false;
            }

            if (await _places.WaitAsync(freed ? LeavingPatience : Recheck, _stop.Token))
            {
                return true;
            }
        }

        return true;
    }

    private bool Evict()
    {
        TClient? victim = null;
        ClientStanding least = default;
        TClient[] candidates;
        lock (_lock)
        {
            candidates = [.. _clients.Except(_evicted)];
        }

        foreach (var client in candidates)
        {
            var standing = client.Standing;
            bool comesFirst = victim is null || standing.Trust < least.Trust
                || (standing.Trust == least.Trust && standing.IdleMilliseconds > least.IdleMilliseconds);
            if (comesFirst && MayGo(standing))
            {
                (victim, least) = (client, standing);
            }
        }

        lock (_lock)
        {
            if (victim is null || !_clients.Contains(victim) || !_evicted.Add(victim))
            {
                return false;
            }
        }

        Evicted?.Invoke(victim);
        victim.Abort();
        return true;
    }

    private bool MayGo(ClientStanding standing) => standing.Trust switch
    {
        ClientTrust.Stranger => standing.IdleMilliseconds >= HandshakePatience.TotalMilliseconds,
        ClientTrust.Introduced => IdleEviction > TimeSpan.Zero && standing.IdleMilliseconds >= IntroducedMilliseconds,
        ClientTrust.Served => IdleEviction > TimeSpan.Zero && standing.IdleMilliseconds >= IdleEviction.TotalMilliseconds,
        _ => false,
    };

    private void Start(TSocket socket, bool hasPlace)
    {
        if (!_admits)
        {
            GiveBack(hasPlace);
            socket.Dispose();
            return;
        }

        var client = hasPlace ? _meet(socket) : null;
        if (client is null || !Enter(client))
        {
            GiveBack(hasPlace);
            Refused?.Invoke(socket);
            if (client is not null)
            {
                _discard?.Invoke(client);
            }

            socket.Dispose();
            return;
        }

        Interlocked.Increment(ref _accepted);
        try
        {
            _begin(client);
        }
        catch (Exception)
        {
            // no thread is available: disconnect the client
            client.Abort();
            _discard?.Invoke(client);
            socket.Dispose();
            Leave(client);
            throw;
        }
    }

    private bool Enter(TClient client)
    {
        lock (_lock)
        {
            return !_stopping && _admits && _clients.Add(client);
        }
    }

    private void GiveBack(bool hasPlace)
    {
        if (hasPlace)
        {
            _places.Release();
        }
    }
}
