using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Host;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme;

/// <summary>
/// A user-space NVMe/TCP host: connects to a controller, or to one at each of several addresses, keeps them connected, and opens their
/// namespaces as block devices. Of several paths it uses one at a time for all of its namespaces, as their ANA states require: those of
/// images that are handed over separately need a host each.
/// </summary>
public sealed class NvmeTcpHost : IAsyncDisposable
{
    private const long PoolBytes = 512L << 20;

    private readonly NvmeTcpHostOptions _options;
    private readonly KnownNamespaces _namespaces;
    private readonly HostLink _link;

    private NvmeTcpHost(NvmeTcpHostOptions options, KnownNamespaces namespaces, HostLink link)
    {
        _options = options;
        _namespaces = namespaces;
        _link = link;
        _namespaces.Resized += id => Resized?.Invoke(id);
    }

    /// <summary>
    /// Raised after a namespace was found to have another size, when its devices have it. A handler must not wait for requests of this
    /// host: it may run while the host reconnects.
    /// </summary>
    public event Action<uint>? Resized;

    /// <summary>Longest transfer of one command, in bytes.</summary>
    public int MaxTransfer => _link.Current.MaxTransfer;

    /// <summary>Longest zone append, in bytes; 0 when there are no zoned namespaces.</summary>
    public int MaxAppend => _link.Current.MaxAppend;

    /// <summary>Counts the connections: identifies the one that was lost.</summary>
    internal int Generation => _link.Route.Generation;

    /// <summary>Another number when acknowledged writes that were not flushed may be lost.</summary>
    internal int Incarnation => _link.Route.Incarnation;

    /// <inheritdoc cref="HostLink.Route"/>
    internal HostRoute Route => _link.Route;

    /// <summary>Whether an acknowledged write is not durable before a flush.</summary>
    internal bool HasWriteCache => _link.Current.HasWriteCache;

    /// <summary>Whether I/O commands can be sent.</summary>
    internal bool IsConnected => _link.Current.IsOpen;

    /// <summary>Connects and enables the controller.</summary>
    /// <exception cref="BlockException">The server cannot be reached or rejects the host.</exception>
    public static async ValueTask<NvmeTcpHost> ConnectAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken = default)
    {
        var namespaces = new KnownNamespaces();
        return new NvmeTcpHost(
            options, namespaces, await HostLink.ConnectAsync(options, new SlabPool(PoolBytes), namespaces, cancellationToken));
    }

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

    /// <summary>
    /// Opens a namespace as a device, guarded by <see cref="CheckedDevice"/>; a zoned one has <see cref="IBlockDevice.Zones"/>.
    /// </summary>
    /// <param name="id">Its identifier.</param>
    /// <param name="ownsHost">Whether closing the device ends the host.</param>
    /// <param name="cancellationToken">Stops.</param>
    public async ValueTask<IBlockDevice> OpenAsync(uint id, bool ownsHost, CancellationToken cancellationToken = default)
        => CheckedDevice.Wrap(await RemoteNamespace.OpenAsync(this, id, ownsHost, cancellationToken));

    /// <summary>Reads a log page.</summary>
    public ValueTask<byte[]> ReadLogAsync(byte page, uint namespaceId, int length, CancellationToken cancellationToken = default)
        => _link.Current.ReadLogAsync(page, namespaceId, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _link.DisposeAsync();

    /// <summary>A namespace's name for messages.</summary>
    internal string NameOf(uint id) => $"nvme+tcp://{_options.Places}/{_options.SubsystemNqn}?ns={id}";

    /// <inheritdoc cref="ControllerConnection.IdentifyAsync"/>
    internal ValueTask<byte[]> IdentifyAsync(byte cns, uint namespaceId, byte commandSet, CancellationToken cancellationToken)
        => _link.Current.IdentifyAsync(cns, namespaceId, commandSet, cancellationToken);

    /// <inheritdoc cref="HostLink.RunAsync"/>
    internal ValueTask<HostAnswer> RunAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
        => _link.RunAsync(entry, toController, toHost, cancellationToken);

    /// <inheritdoc cref="HostLink.RunOnceAsync"/>
    internal ValueTask<CompletionEntry> RunOnceAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> data, HostRoute route, CancellationToken cancellationToken)
        => _link.RunOnceAsync(entry, data, default, route, cancellationToken);

    /// <inheritdoc cref="HostLink.NoteRefusal"/>
    internal bool NoteRefusal(NvmeStatus status, HostRoute route) => _link.NoteRefusal(status, route);

    /// <inheritdoc cref="HostLink.ThrowIfRefusedFor"/>
    internal void ThrowIfRefusedFor(long since) => _link.ThrowIfRefusedFor(since);

    /// <summary>Runs an admin command with data for the controller, or for the host.</summary>
    internal ValueTask<CompletionEntry> RunAdminAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
        => _link.Current.RunAdminAsync(entry, toController, toHost, cancellationToken);

    /// <inheritdoc cref="HostLink.ReconnectAsync"/>
    internal ValueTask ReconnectAsync(int generation) => _link.ReconnectAsync(generation);

    /// <inheritdoc cref="KnownNamespaces.Remember"/>
    internal void Remember(uint id, ReadOnlySpan<byte> page) => _namespaces.Remember(id, page);

    /// <inheritdoc cref="KnownNamespaces.Follow"/>
    internal void Follow(RemoteNamespace device) => _namespaces.Follow(device);

    /// <inheritdoc cref="KnownNamespaces.Forget"/>
    internal void Forget(RemoteNamespace device) => _namespaces.Forget(device);

    /// <summary>Reads the current size of a namespace.</summary>
    internal ValueTask RefreshAsync(uint id, CancellationToken cancellationToken)
        => _namespaces.RefreshAsync(_link.Current, id, cancellationToken);
}
