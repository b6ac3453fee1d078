namespace Paddock.Serving;

/// <summary>What to do with a client when all slots are taken, and none can be freed.</summary>
internal enum WhenFull
{
    /// <summary>It waits in the listener's queue until another leaves.</summary>
    Wait,

    /// <summary>It is disconnected immediately.</summary>
    Refuse,
}

/// <summary>
/// Takes a server's clients in and lets them go: listeners, the cap on clients, the end. Every server shares it; what a socket is, and
/// how a client is served, is the server's own.
/// </summary>
/// <typeparam name="TSocket">A connection that came in.</typeparam>
/// <typeparam name="TClient">A client that is served.</typeparam>
internal sealed class Reception<TSocket, TClient> : IAsyncDisposable
    where TSocket : class, IDisposable
    where TClient : class, IServedClient
{
    // after a failure to accept: no descriptor is free, perhaps, and asking again at once would spin
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    // while a client waits for a slot: how often the others are looked at again
    private static readonly TimeSpan Recheck = TimeSpan.FromMilliseconds(100);

    // so long a client has to ask for something after its handshake, before it may be evicted
    private const long IntroducedMilliseconds = 10_000;

    private readonly Lock _lock = new();
    private readonly HashSet<TClient> _clients = [];
    private readonly HashSet<TClient> _evicted = [];
    private readonly SemaphoreSlim _places;
    private readonly WhenFull _whenFull;
    private readonly TimeProvider _time;
    private readonly Func<TSocket, TClient?> _meet;
    private readonly Action<TClient> _begin;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<(IDisposable Listener, Task Loop)> _listeners = [];
    private readonly TaskCompletionSource _allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _empty;
    private long _accepted;
    private bool _stopping;
    private volatile bool _admits = true;

    /// <param name="limit">Clients at once, at least 1.</param>
    /// <param name="whenFull">What to do with a client when the connection limit is reached.</param>
    /// <param name="meet">Makes a client of a socket, which it owns from then on; null where it cannot be served.</param>
    /// <param name="begin">Begins to serve it, on another thread; whoever serves it calls <see cref="Leave"/> at its end.</param>
    /// <param name="time">The clock.</param>
    public Reception(int limit, WhenFull whenFull, Func<TSocket, TClient?> meet, Action<TClient> begin, TimeProvider? time = null)
    {
        _places = new SemaphoreSlim(limit);
        _whenFull = whenFull;
        _meet = meet;
        _begin = begin;
        _time = time ?? TimeProvider.System;
    }

    /// <summary>Raised after a client is disconnected for lack of a slot or of memory.</summary>
    public event Action? Refused;

    /// <summary>Raised when a client is about to be hung up on so that another gets its slot.</summary>
    public event Action<TClient>? Evicted;

    /// <summary>So long a client has for its handshake before it may be evicted, when all slots are taken and another waits.</summary>
    public TimeSpan HandshakePatience { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// After so long without a request a client that was served may be evicted, when all slots are taken and another waits; zero: never,
    /// and neither is one that has introduced itself.
    /// </summary>
    public TimeSpan IdleEviction { get; init; }

    /// <summary>
    /// How long to wait for an evicted client, whose requests may end late, to free its slot before another client is
    /// evicted.
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
    /// <param name="listener">Owned: disposed of when the server stops.</param>
    /// <param name="accept">Waits for the listener's next connection.</param>
    public void Listen(IDisposable listener, Func<CancellationToken, ValueTask<TSocket>> accept)
        => _listeners.Add((listener, Task.Run(() => AcceptAsync(accept))));

    /// <summary>Serves a client on an existing connection; waits for a slot as others do.</summary>
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
                // the server stops: the connection is ours, and nobody will serve it
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

    /// <summary>Whether clients are taken; those who come while they are not are hung up on at once, by a server without power.</summary>
    public bool Admits
    {
        get => _admits;
        set => _admits = value;
    }

    /// <summary>Waits until there are no clients, nor anything that they began.</summary>
    /// <param name="limit">After so long the wait ends all the same.</param>
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
            // the caller goes on with the clients that remain
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
    /// Takes no more clients and no more requests, and waits until those under way are answered; who is not done by the limit is cut off.
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
                // taken before there is a slot for it: only who is here shows that one is wanted
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
                // a client that left at once, or no descriptor or thread free: none of them may end the server
                await Task.Delay(Pause, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            finally
            {
                socket?.Dispose();
            }
        }
    }

    // takes a slot for a waiting client; false if no slot can be had and new clients are not to wait
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
            socket.Dispose();
            Refused?.Invoke();
            return;
        }

        Interlocked.Increment(ref _accepted);
        try
        {
            _begin(client);
        }
        catch (Exception)
        {
            // no thread: the client is sent away
            client.Abort();
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
