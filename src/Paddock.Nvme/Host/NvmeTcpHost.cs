using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Block.Buffers;
using Paddock.Nvme.Host;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

/// <summary>Where a subsystem is, and how to be its host.</summary>
public sealed record NvmeTcpHostOptions
{
    /// <summary>Name or address of the server.</summary>
    public required string Host { get; init; }

    /// <summary>TCP port.</summary>
    public int Port { get; init; } = 4420;

    /// <summary>The subsystem's qualified name.</summary>
    public required string SubsystemNqn { get; init; }

    /// <summary>The host's own qualified name.</summary>
    public string HostNqn { get; init; } = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-7061646f636b";

    /// <summary>I/O queues, each a connection.</summary>
    public int IoQueues { get; init; } = 1;

    /// <summary>Commands in flight on one queue.</summary>
    public int QueueDepth { get; init; } = 128;

    /// <summary>Protect headers by digests.</summary>
    public bool HeaderDigest { get; init; }

    /// <summary>Protect data by digests.</summary>
    public bool DataDigest { get; init; }

    /// <summary>Keys to authenticate with; null: none. With a controller's key, the controller must prove itself, whether it asks for it or not.</summary>
    public DhChapKeys? Keys { get; init; }

    /// <summary>The hashes that are offered.</summary>
    public IReadOnlyList<DhChapHash> Hashes { get; init; } = DhChapPolicy.DefaultHashes;

    /// <summary>The groups that are offered: all of them, since a target may know no other than NULL.</summary>
    public IReadOnlyList<DhChapGroup> Groups { get; init; } = [.. DhChapPolicy.DefaultGroups, DhChapGroup.Null];

    /// <summary>How long a lost connection is tried again, before those who wait are told; zero: not at all.</summary>
    public TimeSpan ReconnectTime { get; init; }
}

/// <summary>A user-space NVMe/TCP host: a controller's queues, kept alive, for the devices on its namespaces.</summary>
public sealed partial class NvmeTcpHost : IAsyncDisposable
{
    private const int AdminDepth = 8;
    private const uint KeepAliveMilliseconds = 15000;
    private const long PoolBytes = 512L << 20;

    private volatile HostQueue _admin;
    private volatile HostQueue[] _io = [];
    private readonly UInt128 _hostId = 0x7061646f_636b;
    private readonly NvmeTcpHostOptions _options;
    private readonly SlabPool _pool;
    private readonly CancellationTokenSource _stop = new();
    private Task _keepingAlive = Task.CompletedTask;
    private int _next;

    private NvmeTcpHost(NvmeTcpHostOptions options, HostQueue admin, SlabPool pool)
    {
        _options = options;
        _admin = admin;
        _pool = pool;
    }

    /// <summary>Longest transfer of one command, in bytes.</summary>
    public int MaxTransfer { get; private set; } = 1 << 20;

    /// <summary>Longest zone append, in bytes; 0: there are no zoned namespaces.</summary>
    public int MaxAppend { get; private set; }

    /// <summary>Connects and brings the controller up.</summary>
    /// <exception cref="BlockException">The server cannot be reached, or refuses.</exception>
    public static async ValueTask<NvmeTcpHost> ConnectAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken = default)
    {
        var pool = new SlabPool(PoolBytes);
        var host = new NvmeTcpHost(options, await HostQueue.OpenAsync(options, pool, AdminDepth, cancellationToken), pool);
        try
        {
            host._io = await host.BringUpAsync(host._admin, cancellationToken);
            host._listening = host.ListenAsync(host._admin);
            host._keepingAlive = host.KeepAliveAsync();
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>A namespace's name for messages.</summary>
    internal string NameOf(uint id) => $"nvme+tcp://{_options.Host}:{_options.Port}/{_options.SubsystemNqn}?ns={id}";

    /// <summary>The identifiers of the active namespaces.</summary>
    public async ValueTask<IReadOnlyList<uint>> ListAsync(CancellationToken cancellationToken = default)
    {
        byte[] page = await IdentifyAsync(0x02, 0, 0, cancellationToken);
        var list = new List<uint>();
        for (int at = 0; at < page.Length && BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(at)) is > 0 and var id; at += 4)
        {
            list.Add(id);
        }

        return list;
    }

    /// <summary>A namespace as a device, guarded by <see cref="CheckedDevice"/>; a zoned one has <see cref="IBlockDevice.Zones"/>.</summary>
    /// <param name="id">Its identifier.</param>
    /// <param name="ownsHost">Whether closing the device ends the host.</param>
    /// <param name="cancellationToken">Stops.</param>
    public async ValueTask<IBlockDevice> OpenAsync(uint id, bool ownsHost, CancellationToken cancellationToken = default)
        => CheckedDevice.Wrap(await RemoteNamespace.OpenAsync(this, id, ownsHost, cancellationToken));

    /// <summary>Reads a log page.</summary>
    public async ValueTask<byte[]> ReadLogAsync(byte page, uint namespaceId, int length, CancellationToken cancellationToken = default)
    {
        byte[] data = new byte[length];
        uint dwords = (uint)(length / 4) - 1;
        var entry = new SubmissionEntry
        {
            Opcode = AdminOpcode.GetLogPage, NamespaceId = namespaceId, Dword10 = page | (dwords << 16), Dword11 = dwords >> 16,
        };
        Check(await _admin.RunAsync(entry, default, data, cancellationToken), $"log page {page:x2}h");
        return data;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _keepingAlive;
        await _connecting.AcquireAsync();
        await CloseQueuesAsync();
        _connecting.Release();
        _stop.Dispose();
    }

    internal async ValueTask<byte[]> IdentifyAsync(byte cns, uint namespaceId, byte commandSet, CancellationToken cancellationToken)
    {
        byte[] page = new byte[IdentifyController.Size];
        var entry = new SubmissionEntry
        {
            Opcode = AdminOpcode.Identify, NamespaceId = namespaceId, Dword10 = cns, Dword11 = (uint)commandSet << 24,
        };
        Check(await _admin.RunAsync(entry, default, page, cancellationToken), $"identify {cns:x2}h");
        return page;
    }

    /// <summary>Runs a command on the next queue in turn, once.</summary>
    /// <exception cref="ConnectionLostException">The connection went before the answer came.</exception>
    internal ValueTask<CompletionEntry> RunOnceAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        var io = _io;
        return io.Length == 0
            ? throw new ConnectionLostException(wasSent: false)
            : io[io.Length == 1 ? 0 : (int)((uint)Interlocked.Increment(ref _next) % (uint)io.Length)].RunAsync(entry, toController, toHost, cancellationToken);
    }

    internal static void Check(in CompletionEntry completion, string what)
    {
        if (completion.Status != NvmeStatus.Success)
        {
            throw new BlockException(BlockError.Io, $"{what}: the controller says {completion.Status} ({(int)completion.Status:x3}h)");
        }
    }

    // the new queues; nobody uses them before all of them are there
    private async ValueTask<HostQueue[]> BringUpAsync(HostQueue admin, CancellationToken cancellationToken)
    {
        ushort controller = (ushort)await ConnectQueueAsync(admin, 0, AdminDepth * 4, ConnectData.AnyController, cancellationToken);
        await SetPropertyAsync(Properties.Configuration, 0x00460061, cancellationToken);
        await WaitReadyAsync(cancellationToken);
        byte[] identify = await IdentifyAsync(0x01, 0, 0, cancellationToken);
        LearnIncarnation(identify);
        MaxTransfer = identify[77] == 0 ? MaxTransfer : Math.Min(1 << 24, 4096 << Math.Min((int)identify[77], 12));
        int inCapsule = (int)Math.Clamp((BinaryPrimitives.ReadUInt32LittleEndian(identify.AsSpan(1792)) * 16L) - SubmissionEntry.Size, 0, 1 << 20);
        byte[] zoned = await TryIdentifyZonedAsync(cancellationToken);
        MaxAppend = zoned.Length == 0 ? 0 : zoned[0] == 0 ? MaxTransfer : 4096 << Math.Min((int)zoned[0], 12);
        uint wanted = (uint)_options.IoQueues - 1;
        var queues = await _admin.RunAsync(
            new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = 7, Dword11 = wanted | (wanted << 16) }, default, default, cancellationToken);
        Check(queues, "number of queues");
        int count = Math.Min(_options.IoQueues, (int)(queues.Result & 0xFFFF) + 1);
        var io = new List<HostQueue>();
        try
        {
            for (ushort i = 1; i <= count; i++)
            {
                var queue = await HostQueue.OpenAsync(_options, _pool, _options.QueueDepth, cancellationToken);
                io.Add(queue);
                await ConnectQueueAsync(queue, i, _options.QueueDepth + 1, controller, cancellationToken);
                queue.InCapsule = inCapsule;
                queue.IsIo = true;
            }

            return [.. io];
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

    private async ValueTask<byte[]> TryIdentifyZonedAsync(CancellationToken cancellationToken)
    {
        byte[] page = new byte[IdentifyController.Size];
        var entry = new SubmissionEntry { Opcode = AdminOpcode.Identify, Dword10 = 6, Dword11 = IdentifyNamespace.ZonedCommandSet << 24 };
        return (await _admin.RunAsync(entry, default, page, cancellationToken)).Status == NvmeStatus.Success ? page : [];
    }

    private async ValueTask<ulong> ConnectQueueAsync(
        HostQueue queue, ushort number, int entries, ushort controller, CancellationToken cancellationToken)
    {
        const uint noFlowControl = 1 << 18;
        byte[] data = new byte[ConnectData.Size];
        new ConnectData(_hostId, controller, _options.SubsystemNqn, _options.HostNqn).WriteTo(data);
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.Fabrics,
            NamespaceId = FabricsType.Connect,
            Dword10 = (uint)number << 16,
            Dword11 = (uint)(entries - 1) | noFlowControl,
            Dword12 = number == 0 ? KeepAliveMilliseconds : 0,
        };
        var answer = await queue.RunAsync(entry, data, default, cancellationToken);
        Check(answer, $"connect to '{_options.SubsystemNqn}'");
        await AuthenticateAsync(queue, answer.Result, cancellationToken);
        return answer.Result & 0xFFFF;
    }

    private async ValueTask SetPropertyAsync(uint offset, uint value, CancellationToken cancellationToken)
    {
        var entry = new SubmissionEntry { Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertySet, Dword11 = offset, Dword12 = value };
        Check(await _admin.RunAsync(entry, default, default, cancellationToken), $"property {offset:x}h");
    }

    private async ValueTask WaitReadyAsync(CancellationToken cancellationToken)
    {
        var entry = new SubmissionEntry { Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertyGet, Dword11 = Properties.Status };
        for (int tries = 0; tries < 750; tries++)
        {
            var answer = await _admin.RunAsync(entry, default, default, cancellationToken);
            Check(answer, "controller status");
            if ((answer.Result & Properties.Ready) != 0)
            {
                return;
            }

            await Task.Delay(10, cancellationToken);
        }

        throw new BlockException(BlockError.Io, "the controller does not get ready");
    }

    private async Task KeepAliveAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(KeepAliveMilliseconds / 3.0));
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                await KeepAliveOnceAsync(_admin);
            }
        }
        catch (OperationCanceledException)
        {
            // the host closes
        }
    }
}
