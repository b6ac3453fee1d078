using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>
/// Keeps a controller connected: when a connection is lost, one of the callers connects again for all, for as long as the options allow.
/// </summary>
/// <remarks>
/// Commands of a lost connection: reads, flushes, reports and zone management are sent again, plain writes too, because running them twice
/// has the same result. A write to a zone is decided by the zone's write pointer (<see cref="RemoteZonedNamespace"/>); an append is never
/// sent twice.
/// </remarks>
internal sealed class HostLink : IAsyncDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AttemptLimit = TimeSpan.FromSeconds(10);

    private readonly NvmeTcpHostOptions _options;
    private readonly SlabPool _pool;
    private readonly KnownNamespaces _namespaces;
    private readonly AsyncMutex _connecting = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _keepingAlive;
    private volatile ControllerConnection _current;
    private Task _listening;
    private int _generation, _incarnation, _failures;

    private HostLink(NvmeTcpHostOptions options, SlabPool pool, KnownNamespaces namespaces, ControllerConnection connection)
    {
        _options = options;
        _pool = pool;
        _namespaces = namespaces;
        _current = connection;
        _listening = namespaces.ListenAsync(connection, _stop.Token);
        _keepingAlive = KeepAliveAsync();
    }

    /// <summary>The latest connection; it may be lost.</summary>
    public ControllerConnection Current => _current;

    /// <summary>Counts the connections: identifies the one that was lost.</summary>
    public int Generation => Volatile.Read(ref _generation);

    /// <summary>Another number when acknowledged writes that were not flushed may be lost.</summary>
    public int Incarnation => Volatile.Read(ref _incarnation);

    /// <summary>Connects for the first time; an attempt that fails is not repeated.</summary>
    /// <exception cref="BlockException">The server cannot be reached or rejects the host.</exception>
    public static async ValueTask<HostLink> ConnectAsync(
        NvmeTcpHostOptions options, SlabPool pool, KnownNamespaces namespaces, CancellationToken cancellationToken)
        => new(options, pool, namespaces, await ControllerConnection.OpenAsync(options, pool, cancellationToken));

    /// <summary>Runs a command, and repeats it if its connection was lost and running it twice is harmless.</summary>
    /// <exception cref="BlockException">
    /// The connection could not be restored; or it was, and whether the command was executed is unknown.
    /// </exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<CompletionEntry> RunAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        while (true)
        {
            int generation = Generation;
            bool wasSent;
            try
            {
                return await _current.RunAsync(entry, toController, toHost, cancellationToken);
            }
            catch (ConnectionLostException e)
            {
                wasSent = e.WasSent;
            }

            await ReconnectAsync(generation);
            if (wasSent && entry.Opcode == Opcode.ZoneAppend)
            {
                throw new BlockException(
                    BlockError.Io, "the connection to the controller was lost: whether the zone append was executed is not known");
            }
        }
    }

    /// <summary>Connects again, unless another caller has done so already.</summary>
    /// <param name="generation">The connection that was lost.</param>
    /// <exception cref="BlockException">No connection could be made.</exception>
    public async ValueTask ReconnectAsync(int generation)
    {
        int failures = Volatile.Read(ref _failures);
        await _connecting.AcquireAsync();
        try
        {
            if (failures != _failures)
            {
                // another caller tried on behalf of all waiters
                throw Lost();
            }

            if (generation == _generation)
            {
                await ReconnectLockedAsync();
            }
        }
        catch (OperationCanceledException e)
        {
            throw new BlockException(BlockError.Cancelled, "the host was closed", e);
        }
        catch (BlockException)
        {
            _failures++;
            throw;
        }
        finally
        {
            _connecting.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _keepingAlive;
        await _connecting.AcquireAsync();
        await CloseAsync();
        _connecting.Release();
        _stop.Dispose();
    }

    private static BlockException Lost() => new(BlockError.Io, "the connection to the controller is lost");

    private async ValueTask ReconnectLockedAsync()
    {
        // afterwards every command of the lost connection has failed, and its caller knows
        await CloseAsync();
        if (_options.ReconnectTime <= TimeSpan.Zero || _stop.IsCancellationRequested)
        {
            throw Lost();
        }

        long started = TimeProvider.System.GetTimestamp();
        for (var pause = FirstPause; ; pause = pause < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                await AttemptAsync();
                return;
            }
            catch (BlockException e) when (
                e.Error != BlockError.NoDevice && TimeProvider.System.GetElapsedTime(started) < _options.ReconnectTime)
            {
                await Task.Delay(pause, TimeProvider.System, _stop.Token);
            }
        }
    }

    private async ValueTask AttemptAsync()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(AttemptLimit);
        ControllerConnection? connection = null;
        try
        {
            connection = await ControllerConnection.OpenAsync(_options, _pool, limit.Token);
            await using (limit.Token.Register(static c => ((ControllerConnection)c!).Abort(), connection))
            {
                await _namespaces.CheckAsync(connection, limit.Token);
            }

            ulong run = _current.ServerRun;
            _incarnation += run != 0 && run == connection.ServerRun ? 0 : 1;
            _current = connection;
            _generation++;
            _listening = _namespaces.ListenAsync(connection, _stop.Token);
        }
        catch (Exception e)
        {
            await (connection?.DisposeAsync() ?? default);
            if (e is OperationCanceledException && !_stop.IsCancellationRequested)
            {
                throw new BlockException(BlockError.Io, "the controller does not answer", e);
            }

            throw;
        }
    }

    private async ValueTask CloseAsync()
    {
        await _current.DisposeAsync();
        await _listening;
    }

    private async Task KeepAliveAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(ControllerConnection.KeepAliveMilliseconds / 3.0));
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                await _current.KeepAliveAsync(_stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // the host closes
        }
    }
}
