using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Host;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

// what becomes of commands whose connection was lost. Reads, flushes, reports and zone management are asked again, plain writes too: done twice
// they come to the same. A write to a zone is decided by the zone's pointer (RemoteZonedNamespace); an append is never sent twice
public sealed partial class NvmeTcpHost
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AttemptLimit = TimeSpan.FromSeconds(10);

    private readonly AsyncMutex _connecting = new();
    private readonly Dictionary<uint, (byte[] Mark, ulong Blocks)> _namespaces = [];
    private ulong _serverLife;
    private int _generation, _incarnation, _failures;

    /// <summary>Counts the connections: who lost one says which.</summary>
    internal int Generation => Volatile.Read(ref _generation);

    /// <summary>Another number when what was acknowledged and not flushed may be gone.</summary>
    internal int Incarnation => Volatile.Read(ref _incarnation);

    /// <summary>Whether a write that was acknowledged is not durable before a flush.</summary>
    internal bool HasWriteCache { get; private set; } = true;

    /// <summary>Whether there are queues to run commands on.</summary>
    internal bool IsConnected => _io.Length > 0;

    /// <summary>Whether lost connections are made anew.</summary>
    internal bool Reconnects => _options.ReconnectTime > TimeSpan.Zero;

    /// <summary>Runs a command, again where its connection was lost and that can do no harm.</summary>
    /// <exception cref="BlockException">The connection is lost for good; or it was, and whether the command was done is not known.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    internal async ValueTask<CompletionEntry> RunAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        while (true)
        {
            int generation = Generation;
            bool wasSent;
            try
            {
                return await RunOnceAsync(entry, toController, toHost, cancellationToken);
            }
            catch (ConnectionLostException e)
            {
                wasSent = e.WasSent;
            }

            await ReconnectAsync(generation);
            if (wasSent && entry.Opcode == Opcode.ZoneAppend)
            {
                throw new BlockException(BlockError.Io, "the connection to the controller was lost: whether the zone append was done is not known");
            }
        }
    }

    /// <summary>Makes the connection anew, unless somebody did since.</summary>
    /// <param name="generation">The connection that was lost.</param>
    internal async ValueTask ReconnectAsync(int generation)
    {
        int failures = Volatile.Read(ref _failures);
        await _connecting.AcquireAsync();
        try
        {
            if (failures != _failures)
            {
                // somebody tried for all of us
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

    /// <summary>Keeps what a namespace is, so that another one is not taken for it after a reconnect.</summary>
    internal void Remember(uint id, ReadOnlySpan<byte> page)
    {
        lock (_namespaces)
        {
            _namespaces[id] = (MarkOf(page), BinaryPrimitives.ReadUInt64LittleEndian(page));
        }
    }

    private static BlockException Lost() => new(BlockError.Io, "the connection to the controller is lost");

    // formats and global identifiers (NVM command set 1.0, figure 97)
    private static byte[] MarkOf(ReadOnlySpan<byte> page) => [page[26], .. page[104..128]];

    private async ValueTask ReconnectLockedAsync()
    {
        // from here on every command of the lost connection has failed, and whoever waited for it has been told
        await CloseQueuesAsync();
        if (!Reconnects || _stop.IsCancellationRequested)
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
            catch (BlockException e) when (e.Error != BlockError.NoDevice && TimeProvider.System.GetElapsedTime(started) < _options.ReconnectTime)
            {
                await Task.Delay(pause, TimeProvider.System, _stop.Token);
            }
        }
    }

    private async ValueTask AttemptAsync()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(AttemptLimit);
        HostQueue? admin = null;
        try
        {
            admin = await HostQueue.OpenAsync(_options, _pool, AdminDepth, limit.Token);
            await using var abort = limit.Token.Register(static queue => ((HostQueue)queue!).Abort(), admin);
            _admin = admin;
            ulong life = _serverLife;
            var io = await BringUpAsync(admin, limit.Token);
            await CheckNamespacesAsync(limit.Token);
            _incarnation += life != 0 && life == _serverLife ? 0 : 1;
            _io = io;
            _generation++;
            _listening = ListenAsync(admin);
        }
        catch (Exception e)
        {
            await (admin?.DisposeAsync() ?? default);
            if (e is OperationCanceledException && !_stop.IsCancellationRequested)
            {
                throw new BlockException(BlockError.Io, "the controller does not answer", e);
            }

            throw;
        }
    }

    private async ValueTask CheckNamespacesAsync(CancellationToken cancellationToken)
    {
        KeyValuePair<uint, (byte[] Mark, ulong Blocks)>[] known;
        lock (_namespaces)
        {
            known = [.. _namespaces];
        }

        foreach (var (id, (mark, blocks)) in known)
        {
            // it may have grown meanwhile; one that is smaller has lost something
            byte[] page = await IdentifyAsync(0x00, id, 0, cancellationToken);
            ulong now = BinaryPrimitives.ReadUInt64LittleEndian(page);
            if (now < blocks || !MarkOf(page).AsSpan().SequenceEqual(mark))
            {
                throw new BlockException(BlockError.NoDevice, $"the controller came back with another namespace {id}");
            }

            Remember(id, page);
            TakeSize(id, now);
        }
    }

    private void LearnIncarnation(ReadOnlySpan<byte> identify)
    {
        const byte volatileCache = 1;
        HasWriteCache = (identify[525] & volatileCache) != 0;
        bool tells = BinaryPrimitives.ReadUInt64LittleEndian(identify[IdentifyController.MarkField..]) == IdentifyController.Mark;
        _serverLife = tells ? BinaryPrimitives.ReadUInt64LittleEndian(identify[IdentifyController.IncarnationField..]) : 0;
    }

    private async ValueTask CloseQueuesAsync()
    {
        var io = _io;
        _io = [];
        foreach (var queue in io)
        {
            await queue.DisposeAsync();
        }

        await _admin.DisposeAsync();

        // it must not ask anything on the next queue before that is connected
        await _listening;
    }

    // a controller that stopped answering is as good as gone: its commands fail now and are asked again elsewhere
    private async ValueTask KeepAliveOnceAsync(HostQueue admin)
    {
        try
        {
            await admin.RunAsync(new SubmissionEntry { Opcode = AdminOpcode.KeepAlive }, default, default, _stop.Token)
                .AsTask().WaitAsync(TimeSpan.FromMilliseconds(KeepAliveMilliseconds), TimeProvider.System, _stop.Token);
        }
        catch (Exception e) when (e is BlockException or TimeoutException)
        {
            // the next request finds the connection lost
            admin.Abort();
            foreach (var queue in _io)
            {
                queue.Abort();
            }
        }
    }
}
