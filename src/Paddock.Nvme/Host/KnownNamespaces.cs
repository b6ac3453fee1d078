using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>
/// The namespaces that the host has opened: their identities, to detect a different namespace after a reconnect, and the devices
/// that follow their size.
/// </summary>
internal sealed class KnownNamespaces
{
    private const byte EventFeature = 0x0B, ChangedNamespaces = 0x04;
    private const uint NamespaceEvents = 1 << 8;

    // an event's type and information, without the log page that it points at
    private const ulong EventKind = 0xFF07, NamespaceChanged = 2;

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, Known> _known = [];
    private readonly List<RemoteNamespace> _followers = [];

    /// <summary>Raised after a namespace was found to have another size, when its devices have it.</summary>
    public event Action<uint>? Resized;

    /// <summary>Records the identity of a namespace.</summary>
    /// <param name="id">Its identifier.</param>
    /// <param name="page">Its Identify page.</param>
    public void Remember(uint id, ReadOnlySpan<byte> page)
    {
        lock (_lock)
        {
            _known[id] = Known.Of(page);
        }
    }

    /// <summary>Reports size changes of its namespace to a device.</summary>
    public void Follow(RemoteNamespace device)
    {
        lock (_lock)
        {
            _followers.Add(device);
        }
    }

    /// <summary>Stops reporting to a device.</summary>
    public void Forget(RemoteNamespace device)
    {
        lock (_lock)
        {
            _followers.Remove(device);
        }
    }

    /// <summary>Reads the current size of a namespace.</summary>
    public async ValueTask RefreshAsync(ControllerConnection connection, uint id, CancellationToken cancellationToken)
    {
        byte[] page = await connection.IdentifyAsync(0x00, id, 0, cancellationToken);
        Remember(id, page);
        TakeSize(id, Known.Of(page).Blocks);
    }

    /// <summary>Checks that a new connection has the namespaces that the previous one had, and reads their sizes.</summary>
    /// <exception cref="BlockException">
    /// A namespace is another one, with <see cref="BlockError.NoDevice"/>; or the connection failed.
    /// </exception>
    public async ValueTask CheckAsync(ControllerConnection connection, CancellationToken cancellationToken)
    {
        KeyValuePair<uint, Known>[] all;
        lock (_lock)
        {
            all = [.. _known];
        }

        foreach (var (id, before) in all)
        {
            // it may have grown meanwhile; one that is smaller has lost data
            byte[] page = await connection.IdentifyAsync(0x00, id, 0, cancellationToken);
            var now = Known.Of(page);
            if (now.Blocks < before.Blocks || !now.Mark.AsSpan().SequenceEqual(before.Mark))
            {
                throw new BlockException(BlockError.NoDevice, $"after reconnecting, namespace {id} of the controller is another one");
            }

            Remember(id, page);
            TakeSize(id, now.Blocks);
        }
    }

    /// <summary>Receives the events of a controller (NVMe base 2.0, 5.2) until its connection ends.</summary>
    public async Task ListenAsync(ControllerConnection connection, CancellationToken cancellationToken)
    {
        try
        {
            var wish = new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = EventFeature, Dword11 = NamespaceEvents };
            bool listens = (await connection.RunAdminAsync(wish, default, cancellationToken)).Status == NvmeStatus.Success;
            while (listens)
            {
                var received = await connection.RunAdminAsync(
                    new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest }, default, cancellationToken);
                listens = received.Status == NvmeStatus.Success;
                if (listens && (received.Result & EventKind) == NamespaceChanged)
                {
                    // the log is read first: a later change raises another event
                    await connection.ReadLogAsync(ChangedNamespaces, uint.MaxValue, 4096, cancellationToken);
                    await RefreshFollowedAsync(connection, cancellationToken);
                }
            }
        }
        catch (Exception e) when (e is BlockException or OperationCanceledException)
        {
            // the next request finds the connection lost
        }
    }

    private async ValueTask RefreshFollowedAsync(ControllerConnection connection, CancellationToken cancellationToken)
    {
        RemoteNamespace[] followers;
        lock (_lock)
        {
            followers = [.. _followers];
        }

        foreach (uint id in followers.Select(f => f.Id).Distinct())
        {
            await RefreshAsync(connection, id, cancellationToken);
        }
    }

    private void TakeSize(uint id, ulong blocks)
    {
        bool changed = false;
        lock (_lock)
        {
            foreach (var follower in _followers.Where(f => f.Id == id))
            {
                changed |= follower.TakeSize(blocks);
            }
        }

        if (changed)
        {
            Resized?.Invoke(id);
        }
    }

    /// <summary>Identity of a namespace: formats and global identifiers (NVM command set 1.0, figure 97), and its size.</summary>
    private readonly record struct Known(byte[] Mark, ulong Blocks)
    {
        public static Known Of(ReadOnlySpan<byte> page)
            => new([page[26], .. page[104..128]], BinaryPrimitives.ReadUInt64LittleEndian(page));
    }
}
