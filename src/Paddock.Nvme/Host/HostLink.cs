using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>
/// Keeps a subsystem reachable: of its paths, one is in use. When that is lost, refuses commands, or another one becomes better, one of the
/// callers, or the background, chooses again for all, for as long as the options allow.
/// </summary>
/// <remarks>
/// Commands of a lost connection: reads, flushes, reports and zone management are sent again, plain writes too, because running them twice
/// has the same result. A write to a zone is decided by the zone's write pointer (<see cref="RemoteZonedNamespace"/>); an append is never
/// sent twice. A command that a controller refused because of its access state was not executed and is sent again.
/// </remarks>
internal sealed class HostLink : IAsyncDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1);

    // an answer on a healthy connection, and the end of commands in flight whose controller has handed the disk over already
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2), DrainLimit = TimeSpan.FromSeconds(2);

    // an answer of a server that seems to have been replaced
    private static readonly TimeSpan DoubtLimit = TimeSpan.FromSeconds(1);

    // requests wait meanwhile
    private static readonly TimeSpan ReachLimit = TimeSpan.FromMilliseconds(500), FlushLimit = TimeSpan.FromSeconds(10);

    private readonly TimeSpan _reconnectTime;
    private readonly KnownNamespaces _namespaces;
    private readonly PathSignal _signal;
    private readonly HostPath[] _paths;
    private readonly AsyncMutex _choosing = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _background = [];
    private volatile HostRoute _route;
    private HostPath _path;
    private ulong _run;
    private BlockException? _failure;
    private int _failures, _disposed;
    private volatile bool _wasRefused;

    private HostLink(TimeSpan reconnectTime, KnownNamespaces namespaces, PathSignal signal, HostPath[] paths, HostPath first)
    {
        _reconnectTime = reconnectTime;
        _namespaces = namespaces;
        _signal = signal;
        _paths = paths;
        _path = first;
        _run = first.Connection!.ServerRun;
        _route = new HostRoute(first.Connection, 0, 0);
        _background.AddRange(paths.Select(p => p.KeepAliveAsync(_stop.Token)));
        _background.AddRange(paths.Length > 1 ? paths.Select(p => p.KeepConnectedAsync(_stop.Token)) : []);
        _background.Add(WatchAsync());
    }

    /// <summary>The connection in use; it may be lost.</summary>
    public ControllerConnection Current => _route.Connection;

    /// <summary>The connection in use, and what identifies it.</summary>
    public HostRoute Route => _route;

    /// <summary>Connects for the first time, over every address; an attempt that fails is not repeated.</summary>
    /// <exception cref="BlockException">The server cannot be reached or rejects the host at every address.</exception>
    public static async ValueTask<HostLink> ConnectAsync(
        NvmeTcpHostOptions options, SlabPool pool, KnownNamespaces namespaces, CancellationToken cancellationToken)
    {
        var signal = new PathSignal();
        HostPath[] paths =
        [
            new HostPath(options with { OtherAddresses = [] }, pool, namespaces, signal),
            .. options.OtherAddresses.Select(a => new HostPath(
                options with { Host = a.Host, Port = a.Port, OtherAddresses = [] }, pool, namespaces, signal)),
        ];
        try
        {
            await ConnectFirstAsync(paths, cancellationToken);
            var best = paths.Where(static p => p.IsConnected).MaxBy(static p => p.Rank)
                ?? throw new BlockException(BlockError.Io, "the connection to the controller is lost");
            return new HostLink(options.ReconnectTime, namespaces, signal, paths, best);
        }
        catch
        {
            foreach (var path in paths)
            {
                await path.LeaveAsync();
            }

            throw;
        }
    }

    /// <summary>Runs a command, and repeats it if its path failed and running it twice is harmless, or it was not run.</summary>
    /// <exception cref="BlockException">
    /// No path could be used; or whether the command was executed is unknown.
    /// </exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<HostAnswer> RunAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        for (long since = 0; ; since = since == 0 ? TimeProvider.System.GetTimestamp() : since)
        {
            var route = _route;
            bool mayHaveRun;
            try
            {
                var completion = await RunOnceAsync(entry, toController, toHost, route, cancellationToken);
                if (!StatusMap.IsOfPath(completion.Status))
                {
                    return new HostAnswer(completion, route.Incarnation);
                }

                mayHaveRun = NoteRefusal(completion.Status, route);
            }
            catch (ConnectionLostException e)
            {
                mayHaveRun = e.WasSent;
            }

            if (mayHaveRun && entry.Opcode == Opcode.ZoneAppend)
            {
                await ReconnectAsync(route.Generation);
                throw new BlockException(
                    BlockError.Io, "the connection to the controller was lost: whether the zone append was executed is not known");
            }

            ThrowIfRefusedFor(since);
            await ReconnectAsync(route.Generation);
        }
    }

    /// <summary>Runs a command on a connection, if that is still the one in use.</summary>
    /// <returns>Its completion; one that is about the path (<see cref="StatusMap.IsOfPath"/>) goes to <see cref="NoteRefusal"/>.</returns>
    /// <exception cref="ConnectionLostException">The connection was lost before the answer arrived, or is no longer in use.</exception>
    public ValueTask<CompletionEntry> RunOnceAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, HostRoute route,
        CancellationToken cancellationToken)
        => _route.Generation == route.Generation ? route.Connection.RunAsync(entry, toController, toHost, cancellationToken)
            : throw new ConnectionLostException(wasSent: false);

    /// <summary>Notes that the controller refused a command because of its path.</summary>
    /// <returns>Whether the command may have been executed nevertheless.</returns>
    public bool NoteRefusal(NvmeStatus status, HostRoute route)
    {
        if (_route.Generation == route.Generation)
        {
            _wasRefused = true;
            foreach (var path in _paths)
            {
                path.Refused(route.Connection);
            }
        }

        return status is not (NvmeStatus.AccessInaccessible or NvmeStatus.AccessPersistentLoss or NvmeStatus.AccessTransition);
    }

    /// <summary>Chooses a path again, unless another caller has done so already.</summary>
    /// <param name="generation">The connection that was lost.</param>
    /// <exception cref="BlockException">No path could be used.</exception>
    public async ValueTask ReconnectAsync(int generation)
    {
        int failures = Volatile.Read(ref _failures);
        await _choosing.AcquireAsync();
        try
        {
            if (failures != _failures)
            {
                // another caller tried on behalf of all waiters
                throw new BlockException(_failure!.Error, _failure.Message, _failure);
            }

            if (generation == _route.Generation)
            {
                await ChooseAsync();
            }
        }
        catch (OperationCanceledException e)
        {
            throw new BlockException(BlockError.Cancelled, "the host was closed", e);
        }
        catch (BlockException e)
        {
            _failures++;
            _failure = e;
            throw;
        }
        finally
        {
            _choosing.Release();
        }
    }

    /// <summary>Ends the retries of a command that has been refused for longer than the options allow.</summary>
    /// <param name="since">Time stamp of the first refusal; 0: there was none before.</param>
    /// <exception cref="BlockException">The time is over.</exception>
    public void ThrowIfRefusedFor(long since)
    {
        if (since != 0 && TimeProvider.System.GetElapsedTime(since) > _reconnectTime)
        {
            throw NoPath();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stop.CancelAsync();
        try
        {
            await Task.WhenAll(_background);
        }
        finally
        {
            await _choosing.AcquireAsync();
            foreach (var path in _paths)
            {
                await path.LeaveAsync();
            }

            _choosing.Release();
            _stop.Dispose();
        }
    }

    private static BlockException Lost() => new(BlockError.Io, "the connection to the controller is lost");

    private BlockException NoPath() => new(
        BlockError.Io, $"no path to the subsystem can be used: {string.Join("; ", _paths.Select(static p => p.Describe()))}");

    // waits for all addresses, but not for long once one is connected
    private static async ValueTask ConnectFirstAsync(HostPath[] paths, CancellationToken stop)
    {
        var attempts = Array.ConvertAll(paths, p => p.ConnectAsync(checksSizes: true, stop).AsTask());
        var all = Task.WhenAll(attempts);
        try
        {
            if (attempts.Length == 1)
            {
                await all;
                return;
            }

            var left = attempts.ToList();
            while (left.Count > 0 && !paths.Any(static p => p.IsConnected))
            {
                left.Remove(await Task.WhenAny(left));
            }

            await all.WaitAsync(paths.Any(static p => p.IsUsable) ? ReachLimit : AnswerLimit, TimeProvider.System, stop);
        }
        catch (Exception e) when (e is BlockException or TimeoutException && paths.Any(static p => p.IsConnected))
        {
            // the others are tried again in the background
        }
    }

    private async ValueTask ChooseAsync()
    {
        // afterwards every command of this path has ended, and its caller knows
        await _path.RestAsync(DrainLimit);
        if (_stop.IsCancellationRequested || (_reconnectTime <= TimeSpan.Zero && !_paths.Any(static p => p.IsUsable)))
        {
            throw _paths.Any(static p => p.IsConnected) ? NoPath() : Lost();
        }

        long started = TimeProvider.System.GetTimestamp();
        for (var pause = FirstPause; ; pause = pause < LongestPause ? pause * 2 : LongestPause)
        {
            var changed = _signal.Next;
            try
            {
                if (await FindAsync() is { } path)
                {
                    await SwitchAsync(path);
                    return;
                }

                if (TimeProvider.System.GetElapsedTime(started) >= _reconnectTime)
                {
                    throw NoPath();
                }
            }
            catch (BlockException e) when (
                e.Error != BlockError.NoDevice && TimeProvider.System.GetElapsedTime(started) < _reconnectTime)
            {
                // tried again
            }

            await Task.WhenAny(changed, Task.Delay(pause, TimeProvider.System, _stop.Token));
            _stop.Token.ThrowIfCancellationRequested();
        }
    }

    // the best path that can be used; null: none can now
    private async ValueTask<HostPath?> FindAsync()
    {
        if (_paths is [{ IsConnected: false } only])
        {
            await only.ConnectAsync(checksSizes: true, _stop.Token);
        }

        bool isStale = _path.IsStale;
        if (Best() is not { IsStale: false })
        {
            await Task.WhenAll(_paths.Where(static p => p.IsConnected).Select(p => p.RefreshAsync(AnswerLimit, _stop.Token).AsTask()));
        }

        var best = Best();
        if (isStale && best == _path)
        {
            // it has refused a command and reports no reason: it will in a moment
            await Task.Delay(FirstPause, TimeProvider.System, _stop.Token);
        }

        return best;
    }

    private HostPath? Best() => _paths.Where(static p => p.IsUsable).OrderBy(static p => p.IsStale).MaxBy(static p => p.Rank);

    private async ValueTask SwitchAsync(HostPath path)
    {
        if (path.Connection is not { IsLost: false } connection)
        {
            throw Lost();
        }

        bool isSame = ReferenceEquals(connection, Current);
        await CheckAsync(connection, isSame);
        bool keptWrites = path == _path ? _run == connection.ServerRun && (isSame || _run != 0)
            : await IsSameServerAsync(path, connection) || await HasHandedOverAsync(_path);
        var previous = _route;
        _run = connection.ServerRun;
        _path = path;
        _wasRefused = false;

        // before the connection is used again: a write of the previous choice must not pass those that are still to be decided
        _route = new HostRoute(connection, previous.Generation + 1, previous.Incarnation + (keptWrites ? 0 : 1));
        connection.Resume();
    }

    private async ValueTask CheckAsync(ControllerConnection connection, bool isSame)
    {
        try
        {
            // on the same connection, sizes may have changed while the namespaces could not be used
            var check = isSame ? _namespaces.RefreshFollowedAsync(connection, _stop.Token)
                : _namespaces.CheckAsync(connection, checksSizes: true, _stop.Token);
            await check.AsTask().WaitAsync(AnswerLimit, TimeProvider.System, _stop.Token);
        }
        catch (TimeoutException e)
        {
            connection.Abort();
            throw new BlockException(BlockError.Io, "the controller does not answer", e);
        }
        catch (BlockException) when (isSame && !connection.IsLost)
        {
            // a namespace is not there any more: its requests fail
        }
    }

    // whether a path is another address of the server in use, which has not lost the disk since
    private async ValueTask<bool> IsSameServerAsync(HostPath path, ControllerConnection connection)
        => _run != 0 && _run == connection.ServerRun
            && (await path.RefreshAsync(AnswerLimit, _stop.Token) ? _run == connection.ServerRun : throw Lost());

    // whether a server that has given the disk away made the writes durable that it had acknowledged. If it did not, or was fenced, its run
    // number changes before it becomes inaccessible
    private async ValueTask<bool> HasHandedOverAsync(HostPath from)
    {
        // only its connection may be lost
        if (!from.IsConnected && !await TryConnectAsync(from))
        {
            return false;
        }

        long started = TimeProvider.System.GetTimestamp();
        for (var pause = FirstPause; from.IsConnected; pause *= 2)
        {
            bool answers = await from.RefreshAsync(AnswerLimit, _stop.Token);

            // the state first: the run number has changed before it
            bool isInaccessible = from.Access == AnaState.Inaccessible, isUsable = from.IsUsable;
            if (!answers || from.Connection!.ServerRun != _run)
            {
                return false;
            }

            if (isInaccessible)
            {
                return true;
            }

            // a server that can be used and has refused nothing has not handed over: either both have the disk, or it has lost it and does
            // not know yet. Then it cannot flush
            if (isUsable && !_wasRefused)
            {
                return await from.FlushAsync(FlushLimit, _stop.Token);
            }

            if (TimeProvider.System.GetElapsedTime(started) > AnswerLimit)
            {
                return false;
            }

            await Task.Delay(pause, TimeProvider.System, _stop.Token);
        }

        return false;
    }

    private async ValueTask<bool> TryConnectAsync(HostPath path)
    {
        try
        {
            await path.ConnectAsync(checksSizes: false, _stop.Token).AsTask().WaitAsync(ReachLimit, TimeProvider.System, _stop.Token);
            return true;
        }
        catch (Exception e) when (e is BlockException or TimeoutException)
        {
            return false;
        }
    }

    // a server that loses the disk and gets it back has not lost the connection, but what it had acknowledged
    private void NoteRun()
    {
        if (_path.Connection is { } connection && ReferenceEquals(connection, Current) && connection.ServerRun != _run)
        {
            var route = _route;
            _run = connection.ServerRun;
            _route = route with { Incarnation = route.Incarnation + 1 };
        }
    }

    // leaves a path without waiting for a request to fail
    private async Task WatchAsync()
    {
        try
        {
            while (true)
            {
                var changed = _signal.Next;
                await ImproveAsync();
                await changed.WaitAsync(_stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // the host closes
        }
    }

    private async ValueTask ImproveAsync()
    {
        await _choosing.AcquireAsync();
        try
        {
            NoteRun();
            var other = _paths.Where(p => p != _path && p.IsUsable).OrderBy(static p => p.IsStale).MaxBy(static p => p.Rank);
            if (other is null || other.Rank < _path.Rank)
            {
                return;
            }

            // another server that becomes optimized has taken over: ours may be dead without having lost its connection
            if (_path.IsUsable && other.Rank == _path.Rank && await _path.RefreshAsync(DoubtLimit, _stop.Token)
                && _path.Rank >= other.Rank)
            {
                return;
            }

            await ChooseAsync();
        }
        catch (BlockException)
        {
            // the next request chooses
        }
        finally
        {
            _choosing.Release();
        }
    }
}
