using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>
/// One address of a subsystem: its connection, which may be lost, and the access states that its controller reports. Attempts to connect
/// are made by the caller, or in the background (<see cref="KeepConnectedAsync"/>).
/// </summary>
internal sealed class HostPath
{
    private const byte EventFeature = 0x0B, ChangedNamespaces = 0x04;
    private const uint NamespaceEvents = 1 << 8;

    // an event's type and information, without the log page that it points at
    private const ulong EventKind = 0xFF07, NamespaceChanged = 2, AccessChanged = 2 | (0x03 << 8);

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AttemptLimit = TimeSpan.FromSeconds(10);

    private readonly NvmeTcpHostOptions _options;
    private readonly SlabPool _pool;
    private readonly KnownNamespaces _namespaces;
    private readonly PathSignal _signal;
    private readonly AsyncMutex _attempt = new(), _reading = new();
    private volatile ControllerConnection? _connection;
    private volatile IReadOnlyList<AnaGroupDescriptor>? _groups;
    private volatile bool _isStale;
    private Task _listening = Task.CompletedTask;

    /// <param name="options">Settings, with the address of this path.</param>
    /// <param name="pool">Memory for data.</param>
    /// <param name="namespaces">The namespaces in use.</param>
    /// <param name="signal">Notified when the path is connected or lost, or its states change.</param>
    public HostPath(NvmeTcpHostOptions options, SlabPool pool, KnownNamespaces namespaces, PathSignal signal)
    {
        _options = options;
        _pool = pool;
        _namespaces = namespaces;
        _signal = signal;
    }

    /// <summary>The address, for messages.</summary>
    public string Name => _options.Places;

    /// <summary>The latest connection, which may be lost; null before the first.</summary>
    public ControllerConnection? Connection => _connection;

    /// <summary>Whether it is connected.</summary>
    public bool IsConnected => _connection is { IsLost: false };

    /// <summary>Why the latest attempt to connect failed.</summary>
    public BlockException? Problem { get; private set; }

    /// <summary>Whether the states that it reports need to be read again, because a command was refused.</summary>
    public bool IsStale => _isStale;

    /// <summary>
    /// Worst access state of the namespaces in use; optimized if its controller reports none.
    /// </summary>
    public AnaState Access
    {
        get
        {
            if (_groups is not { } groups)
            {
                return AnaState.Optimized;
            }

            var worst = AnaState.Optimized;
            foreach (uint id in _namespaces.Ids)
            {
                var state = groups.FirstOrDefault(g => g.Namespaces.Contains(id))?.State ?? AnaState.Optimized;
                worst = state > worst ? state : worst;
            }

            return worst;
        }
    }

    /// <summary>Whether commands may be sent: connected, and the namespaces in use are accessible.</summary>
    public bool IsUsable => Rank > 0;

    /// <summary>How good it is: 2 is optimized, 1 usable, 0 not usable.</summary>
    public int Rank => !IsConnected ? 0 : Access switch
    {
        AnaState.Optimized => 2,
        AnaState.NonOptimized => 1,
        _ => 0,
    };

    /// <summary>The state, for messages.</summary>
    public string Describe() => !IsConnected ? $"{Name} is not connected{(Problem is { } e ? $" ({e.Message})" : "")}"
        : Access switch
        {
            AnaState.Inaccessible => $"{Name} is inaccessible",
            AnaState.PersistentLoss => $"{Name} has lost access",
            AnaState.Change => $"{Name} is changing",
            _ => $"{Name} refuses commands",
        };

    /// <summary>Connects, unless it is connected. An attempt that fails is not repeated.</summary>
    /// <param name="checksSizes">Whether the namespaces must have at least their size: a path that is not in use may be behind.</param>
    /// <param name="stop">Ends the attempt.</param>
    /// <exception cref="BlockException">The server cannot be reached, rejects the host, or has other namespaces.</exception>
    public async ValueTask ConnectAsync(bool checksSizes, CancellationToken stop)
    {
        await _attempt.AcquireAsync();
        try
        {
            if (!IsConnected)
            {
                await AttemptAsync(checksSizes, stop);
                Problem = null;
            }
        }
        catch (BlockException e)
        {
            Problem = e;
            throw;
        }
        finally
        {
            _attempt.Release();
        }

        _signal.Notify();
    }

    /// <summary>Keeps the path connected until it is stopped, with pauses between attempts. Never throws.</summary>
    public async Task KeepConnectedAsync(CancellationToken stop)
    {
        try
        {
            for (var pause = FirstPause; ;)
            {
                if (IsConnected)
                {
                    pause = FirstPause;
                    await _listening.WaitAsync(stop);
                    await LeaveAsync();
                    _signal.Notify();

                    // a server that hangs up at once is not asked without a pause
                    await Task.Delay(FirstPause, TimeProvider.System, stop);
                    continue;
                }

                try
                {
                    await ConnectAsync(checksSizes: false, stop);
                }
                catch (BlockException)
                {
                    await Task.Delay(pause, TimeProvider.System, stop);
                    pause = pause < LongestPause ? pause * 2 : LongestPause;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // the host closes
        }
    }

    /// <summary>Sends Keep Alive until it is stopped. Never throws.</summary>
    public async Task KeepAliveAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(ControllerConnection.KeepAliveMilliseconds / 3.0));
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                if (_connection is { IsLost: true } lost)
                {
                    // one queue is lost: so are the others, and the path is connected again
                    lost.Abort();
                }

                await (_connection?.KeepAliveAsync(stop) ?? default);
            }
        }
        catch (OperationCanceledException)
        {
            // the host closes
        }
    }

    /// <summary>
    /// Reads the access states and the server's run again; a controller that does not answer in time loses its connection.
    /// </summary>
    /// <param name="limit">How long it may take.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <returns>Whether the path is connected and has answered.</returns>
    public async ValueTask<bool> RefreshAsync(TimeSpan limit, CancellationToken stop)
    {
        if (_connection is not { IsLost: false } connection)
        {
            return false;
        }

        try
        {
            _isStale = false;
            await ReadAccessAsync(connection, stop).AsTask().WaitAsync(limit, TimeProvider.System, stop);
            return true;
        }
        catch (Exception e) when (e is TimeoutException or BlockException)
        {
            connection.Abort();
            return false;
        }
    }

    /// <summary>Flushes the namespaces in use; the connection may rest.</summary>
    /// <param name="limit">How long it may take; then the connection is lost.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <returns>Whether the data of all of them are durable.</returns>
    public async ValueTask<bool> FlushAsync(TimeSpan limit, CancellationToken stop)
    {
        if (_connection is not { IsLost: false } connection)
        {
            return false;
        }

        try
        {
            foreach (uint id in _namespaces.Ids)
            {
                var completion = await connection.FlushAsync(id).WaitAsync(limit, TimeProvider.System, stop);
                if (completion.Status != NvmeStatus.Success)
                {
                    return false;
                }
            }

            return true;
        }
        catch (Exception e) when (e is TimeoutException or BlockException)
        {
            connection.Abort();
            return false;
        }
    }

    /// <summary>Notes that a controller has refused a command because of the state of its path.</summary>
    public void Refused(ControllerConnection by)
    {
        if (ReferenceEquals(by, _connection))
        {
            _isStale = true;
        }
    }

    /// <summary>
    /// Sends no further commands, and completes when those in flight have ended: by their completions, or, after a time limit or without a
    /// connection, as lost.
    /// </summary>
    public async ValueTask RestAsync(TimeSpan limit)
    {
        if (_connection is not { } connection)
        {
            return;
        }

        if (connection.IsLost || !await connection.PauseAsync(limit))
        {
            await LeaveAsync();
        }
    }

    /// <summary>Ends the connection. Afterwards every command of it has failed.</summary>
    public async ValueTask LeaveAsync()
    {
        await (_connection?.DisposeAsync() ?? default);
        await _listening;
    }

    private async ValueTask AttemptAsync(bool checksSizes, CancellationToken stop)
    {
        await LeaveAsync();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(AttemptLimit);
        ControllerConnection? connection = null;
        try
        {
            connection = await ControllerConnection.OpenAsync(_options, _pool, limit.Token);
            await using (limit.Token.Register(static c => ((ControllerConnection)c!).Abort(), connection))
            {
                bool listens = await EnableEventsAsync(connection, limit.Token);
                await _namespaces.CheckAsync(connection, checksSizes, limit.Token);
                await ReadAccessAsync(connection, limit.Token);
                _isStale = false;
                _connection = connection;
                _listening = listens ? ListenAsync(connection) : connection.EndedAsync();
            }
        }
        catch (Exception e)
        {
            await (connection?.DisposeAsync() ?? default);
            if (e is OperationCanceledException && !stop.IsCancellationRequested)
            {
                throw new BlockException(BlockError.Io, $"the controller at {Name} does not answer", e);
            }

            throw;
        }
    }

    private async ValueTask ReadAccessAsync(ControllerConnection connection, CancellationToken stop)
    {
        // one at a time: an older page must not replace a newer one
        await _reading.AcquireAsync();
        try
        {
            // the log may have become longer
            await connection.ReadRunAsync(stop);
            if (connection.AccessLogBytes == 0)
            {
                _groups = null;
                return;
            }

            byte[] page = await connection.ReadLogAsync(AnaLog.Id, 0, connection.AccessLogBytes, stop);
            var groups = AnaLog.Read(page)
                ?? throw new BlockException(BlockError.Io, $"the controller at {Name} has an ANA log that cannot be read");

            // a server that has lost the disk changes its run number before its state: whoever sees the state knows of the loss
            await connection.ReadRunAsync(stop);
            _groups = groups;
        }
        finally
        {
            _reading.Release();
        }
    }

    private static async ValueTask<bool> EnableEventsAsync(ControllerConnection connection, CancellationToken stop)
    {
        uint wanted = NamespaceEvents | (connection.AccessLogBytes > 0 ? IdentifyController.AccessEventOffered : 0);
        var entry = new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = EventFeature, Dword11 = wanted };
        return (await connection.RunAdminAsync(entry, default, stop)).Status == NvmeStatus.Success;
    }

    // receives the events of a controller (NVMe base 2.0, 5.2) until its connection ends
    private async Task ListenAsync(ControllerConnection connection)
    {
        try
        {
            while (true)
            {
                var received = await connection.RunAdminAsync(
                    new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest }, default, CancellationToken.None);
                received.Check("asynchronous event request");
                switch (received.Result & EventKind)
                {
                    case NamespaceChanged:
                        await FollowSizesAsync(connection);
                        break;
                    case AccessChanged:
                        await FollowAccessAsync(connection);
                        break;
                }
            }
        }
        catch (BlockException)
        {
            // the next request finds the connection lost, or the controller reports no events
        }

        await connection.EndedAsync();
    }

    private async ValueTask FollowSizesAsync(ControllerConnection connection)
    {
        // the log is read first: a later change raises another event
        await connection.ReadLogAsync(ChangedNamespaces, uint.MaxValue, 4096, CancellationToken.None);
        try
        {
            await (IsUsable ? _namespaces.RefreshFollowedAsync(connection, CancellationToken.None) : default);
        }
        catch (BlockException) when (!connection.IsLost)
        {
            // a namespace is not there any more: its requests fail, and events of the others follow
        }
    }

    private async ValueTask FollowAccessAsync(ControllerConnection connection)
    {
        try
        {
            await ReadAccessAsync(connection, CancellationToken.None);
        }
        catch (BlockException)
        {
            // its states are not known any more
            connection.Abort();
            throw;
        }
        finally
        {
            _signal.Notify();
        }
    }
}
