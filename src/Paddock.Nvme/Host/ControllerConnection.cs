using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>
/// A controller in use: its admin queue, I/O queues and properties. It lives until one of its connections is lost, and is then replaced by
/// a new one.
/// </summary>
internal sealed class ControllerConnection : IAsyncDisposable
{
    /// <summary>Keep alive timeout in milliseconds.</summary>
    public const uint KeepAliveMilliseconds = 15000;

    private const int AdminDepth = 8;

    private readonly HostQueue _admin;
    private volatile HostQueue[] _io = [];
    private volatile bool _isPaused;
    private int _next;

    private ControllerConnection(HostQueue admin) => _admin = admin;

    /// <summary>Longest transfer of one command, in bytes.</summary>
    public int MaxTransfer { get; private set; } = 1 << 20;

    /// <summary>Longest zone append, in bytes; 0 when there are no zoned namespaces.</summary>
    public int MaxAppend { get; private set; }

    /// <summary>Whether an acknowledged write is not durable before a flush.</summary>
    public bool HasWriteCache { get; private set; } = true;

    /// <summary>Identifies the run of the server: another number after a restart; 0 if the server does not report it.</summary>
    public ulong ServerRun { get; private set; }

    /// <summary>Bytes of the whole ANA log; 0 if the controller reports no access states.</summary>
    public int AccessLogBytes { get; private set; }

    /// <summary>Whether the admin queue or an I/O queue has lost its connection.</summary>
    public bool IsLost
    {
        get
        {
            var io = _io;
            return io.Length == 0 || _admin.IsClosed || Array.Exists(io, static q => q.IsClosed);
        }
    }

    /// <summary>Whether commands can be sent: it is neither lost nor paused.</summary>
    public bool IsOpen => !IsLost && !_isPaused;

    /// <summary>Connects all queues and enables the controller.</summary>
    /// <exception cref="BlockException">The server cannot be reached or rejects the host.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ValueTask<ControllerConnection> OpenAsync(
        NvmeTcpHostOptions options, SlabPool pool, CancellationToken cancellationToken)
        => OpenAsync(options, pool, static (connection, options, pool, stop) => connection.BringUpAsync(options, pool, stop),
            cancellationToken);

    /// <summary>Connects to a discovery controller, which has an admin queue only.</summary>
    /// <inheritdoc cref="OpenAsync(NvmeTcpHostOptions, SlabPool, CancellationToken)" path="/exception"/>
    public static ValueTask<ControllerConnection> OpenDiscoveryAsync(
        NvmeTcpHostOptions options, SlabPool pool, CancellationToken cancellationToken)
        => OpenAsync(options, pool, static async (connection, options, _, stop) =>
        {
            await new QueueLogin(options).ConnectAsync(
                connection._admin, 0, AdminDepth * 4, ConnectData.AnyController, keepAlive: 0, stop);
            await connection.EnableAsync(stop);
        }, cancellationToken);

    private static async ValueTask<ControllerConnection> OpenAsync(
        NvmeTcpHostOptions options, SlabPool pool,
        Func<ControllerConnection, NvmeTcpHostOptions, SlabPool, CancellationToken, ValueTask> bringUp, CancellationToken cancellationToken)
    {
        var connection = new ControllerConnection(await HostQueue.OpenAsync(options, pool, AdminDepth, cancellationToken));
        try
        {
            // the token does not cancel a command that was sent
            await using var abort = cancellationToken.Register(static queue => ((HostQueue)queue!).Abort(), connection._admin);
            await bringUp(connection, options, pool, cancellationToken);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            cancellationToken.ThrowIfCancellationRequested();
            throw;
        }
    }

    /// <summary>Runs a command on the next I/O queue in turn.</summary>
    /// <exception cref="ConnectionLostException">The connection was lost before the answer arrived.</exception>
    public ValueTask<CompletionEntry> RunAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        var io = _io;
        return io.Length == 0
            ? throw new ConnectionLostException(wasSent: false)
            : io[io.Length == 1 ? 0 : (int)((uint)Interlocked.Increment(ref _next) % (uint)io.Length)]
            .RunAsync(entry, toController, toHost, cancellationToken);
    }

    /// <summary>Runs a command on the admin queue.</summary>
    public ValueTask<CompletionEntry> RunAdminAsync(SubmissionEntry entry, Memory<byte> toHost, CancellationToken cancellationToken)
        => _admin.RunAsync(entry, default, toHost, cancellationToken);

    /// <summary>Runs an admin command with data for the controller.</summary>
    public ValueTask<CompletionEntry> RunAdminAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
        => _admin.RunAsync(entry, toController, toHost, cancellationToken);

    /// <summary>Reads an Identify page.</summary>
    public async ValueTask<byte[]> IdentifyAsync(byte cns, uint namespaceId, byte commandSet, CancellationToken cancellationToken)
    {
        byte[] page = new byte[IdentifyController.Size];
        (await RunAdminAsync(Identify(cns, namespaceId, commandSet), page, cancellationToken)).Check($"identify {cns:x2}h");
        return page;
    }

    /// <summary>Reads a part of a log page.</summary>
    public async ValueTask<byte[]> ReadLogAsync(
        byte page, uint namespaceId, int length, CancellationToken cancellationToken, uint offset = 0)
    {
        byte[] data = new byte[length];
        uint dwords = (uint)(length / 4) - 1;
        var entry = new SubmissionEntry
        {
            Opcode = AdminOpcode.GetLogPage, NamespaceId = namespaceId, Dword10 = page | (dwords << 16), Dword11 = dwords >> 16,
            Dword12 = offset,
        };
        (await RunAdminAsync(entry, data, cancellationToken)).Check($"log page {page:x2}h");
        return data;
    }

    /// <summary>Reads <see cref="ServerRun"/> again.</summary>
    public async ValueTask ReadRunAsync(CancellationToken cancellationToken)
        => Learn(await IdentifyAsync(0x01, 0, 0, cancellationToken));

    /// <summary>Sends no further I/O commands: they fail as not sent. Completes when those in flight have ended.</summary>
    /// <param name="limit">How long that may take.</param>
    /// <returns>Whether they have ended.</returns>
    public async ValueTask<bool> PauseAsync(TimeSpan limit)
    {
        _isPaused = true;
        bool[] ended = await Task.WhenAll(_io.Select(q => q.PauseAsync(limit)));
        return Array.TrueForAll(ended, static e => e);
    }

    /// <summary>Sends commands again.</summary>
    public void Resume()
    {
        _isPaused = false;
        foreach (var queue in _io)
        {
            queue.Resume();
        }
    }

    /// <summary>Flushes a namespace, also while the queues are paused.</summary>
    /// <exception cref="ConnectionLostException">The connection was lost before the answer arrived.</exception>
    public Task<CompletionEntry> FlushAsync(uint namespaceId)
        => _io is [var first, ..]
            ? first.RunPausedAsync(new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = namespaceId })
            : throw new ConnectionLostException(wasSent: false);

    /// <summary>Completes when the admin queue has ended.</summary>
    public Task EndedAsync() => _admin.EndedAsync();

    /// <summary>
    /// Sends Keep Alive. If the controller does not reply, all commands fail, and can be repeated on another connection.
    /// </summary>
    public async ValueTask KeepAliveAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RunAdminAsync(new SubmissionEntry { Opcode = AdminOpcode.KeepAlive }, default, cancellationToken)
                .AsTask().WaitAsync(TimeSpan.FromMilliseconds(KeepAliveMilliseconds), TimeProvider.System, cancellationToken);
        }
        catch (Exception e) when (e is BlockException or TimeoutException)
        {
            // the next request finds the connection lost
            Abort();
        }
    }

    /// <summary>Ends all connections at once; commands in flight fail.</summary>
    public void Abort()
    {
        _admin.Abort();
        foreach (var queue in _io)
        {
            queue.Abort();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        var io = _io;
        _io = [];
        foreach (var queue in io)
        {
            await queue.DisposeAsync();
        }

        await _admin.DisposeAsync();
    }

    private static SubmissionEntry Identify(byte cns, uint namespaceId, byte commandSet) => new()
    {
        Opcode = AdminOpcode.Identify, NamespaceId = namespaceId, Dword10 = cns, Dword11 = (uint)commandSet << 24,
    };

    private async ValueTask BringUpAsync(NvmeTcpHostOptions options, SlabPool pool, CancellationToken cancellationToken)
    {
        var login = new QueueLogin(options);
        ushort controller = await login.ConnectAsync(
            _admin, 0, AdminDepth * 4, ConnectData.AnyController, KeepAliveMilliseconds, cancellationToken);
        await EnableAsync(cancellationToken);
        int inCapsule = Learn(await IdentifyAsync(0x01, 0, 0, cancellationToken));
        byte[] zoned = new byte[IdentifyController.Size];
        bool hasZones = (
            await RunAdminAsync(Identify(6, 0, IdentifyNamespace.ZonedCommandSet), zoned, cancellationToken)).Status == NvmeStatus.Success;
        MaxAppend = !hasZones ? 0 : zoned[0] == 0 ? MaxTransfer : 4096 << Math.Min((int)zoned[0], 12);
        uint wanted = (uint)options.IoQueues - 1;
        var queues = await RunAdminAsync(
            new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = 7, Dword11 = wanted | (wanted << 16) }, default,
            cancellationToken);
        queues.Check("number of queues");
        await OpenQueuesAsync(
            login, options, pool, Math.Min(options.IoQueues, (int)(queues.Result & 0xFFFF) + 1), controller, inCapsule, cancellationToken);
    }

    // the queues; nobody uses them before all of them are connected
    private async ValueTask OpenQueuesAsync(
        QueueLogin login, NvmeTcpHostOptions options, SlabPool pool, int count, ushort controller, int inCapsule,
        CancellationToken cancellationToken)
    {
        var io = new List<HostQueue>();
        try
        {
            for (ushort i = 1; i <= count; i++)
            {
                var queue = await HostQueue.OpenAsync(options, pool, options.QueueDepth, cancellationToken);
                io.Add(queue);
                await login.ConnectAsync(queue, i, options.QueueDepth + 1, controller, keepAlive: 0, cancellationToken);
                queue.InCapsule = inCapsule;
                queue.IsIo = true;
            }

            _io = [.. io];
        }
        catch
        {
            foreach (var queue in io)
            {
                await queue.DisposeAsync();
            }

            throw;
        }
    }

    private async ValueTask EnableAsync(CancellationToken cancellationToken)
    {
        const uint enable = 0x00460061;
        var set = new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertySet, Dword11 = Properties.Configuration, Dword12 = enable,
        };
        (await RunAdminAsync(set, default, cancellationToken)).Check($"property {Properties.Configuration:x}h");

        // a controller does not signal that it is ready: the specification has hosts poll
        var get = new SubmissionEntry { Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertyGet, Dword11 = Properties.Status };
        for (int tries = 0; tries < 750; tries++)
        {
            var answer = await RunAdminAsync(get, default, cancellationToken);
            answer.Check("controller status");
            if ((answer.Result & Properties.Ready) != 0)
            {
                return;
            }

            await Task.Delay(10, cancellationToken);
        }

        throw new BlockException(BlockError.Io, "the controller does not become ready");
    }

    /// <returns>Most bytes of data in a capsule.</returns>
    private int Learn(ReadOnlySpan<byte> identify)
    {
        const byte volatileCache = 1;
        HasWriteCache = (identify[525] & volatileCache) != 0;
        bool tells = BinaryPrimitives.ReadUInt64LittleEndian(identify[IdentifyController.MarkField..]) == IdentifyController.Mark;
        ServerRun = tells ? BinaryPrimitives.ReadUInt64LittleEndian(identify[IdentifyController.IncarnationField..]) : 0;
        AccessLogBytes = AccessLogOf(identify);
        MaxTransfer = identify[77] == 0 ? MaxTransfer : Math.Min(1 << 24, 4096 << Math.Min((int)identify[77], 12));
        return (int)Math.Clamp((BinaryPrimitives.ReadUInt32LittleEndian(identify[1792..]) * 16L) - SubmissionEntry.Size, 0, 1 << 20);
    }

    // CMIC bit 3; NANAGRPID descriptors, and NN namespaces in them
    private static int AccessLogOf(ReadOnlySpan<byte> identify)
    {
        const byte reportsAccess = 1 << 3;
        const long most = 1 << 20;
        long groups = BinaryPrimitives.ReadUInt32LittleEndian(identify[348..]);
        long namespaces = BinaryPrimitives.ReadUInt32LittleEndian(identify[516..]);
        return (identify[76] & reportsAccess) == 0 ? 0
            : (int)Math.Min(most, AnaLog.HeaderSize + (groups * AnaGroupDescriptor.HeaderSize) + (namespaces * sizeof(uint)));
    }
}
