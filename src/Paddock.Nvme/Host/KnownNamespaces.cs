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
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, Known> _known = [];
    private readonly List<RemoteNamespace> _followers = [];

    /// <summary>Raised after a namespace was found to have another size, when its devices have it.</summary>
    public event Action<uint>? Resized;

    /// <summary>Their identifiers.</summary>
    public IReadOnlyList<uint> Ids
    {
        get
        {
            lock (_lock)
            {
                return [.. _known.Keys];
            }
        }
    }

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

    /// <summary>Stops reporting to a device; a namespace without devices is not known any more.</summary>
    public void Forget(RemoteNamespace device)
    {
        lock (_lock)
        {
            _followers.Remove(device);
            if (!_followers.Exists(f => f.Id == device.Id))
            {
                _known.Remove(device.Id);
            }
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
    /// <param name="connection">The connection.</param>
    /// <param name="checksSizes">Whether they must have at least their size, and the devices take it.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <exception cref="BlockException">
    /// A namespace is another one, with <see cref="BlockError.NoDevice"/>; or the connection failed.
    /// </exception>
    public async ValueTask CheckAsync(ControllerConnection connection, bool checksSizes, CancellationToken cancellationToken)
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
            if ((checksSizes && now.Blocks < before.Blocks) || !now.Mark.AsSpan().SequenceEqual(before.Mark))
            {
                throw new BlockException(BlockError.NoDevice, $"after reconnecting, namespace {id} of the controller is another one");
            }

            if (checksSizes)
            {
                Remember(id, page);
                TakeSize(id, now.Blocks);
            }
        }
    }

    /// <summary>Reads the current sizes of the namespaces whose devices follow them.</summary>
    public async ValueTask RefreshFollowedAsync(ControllerConnection connection, CancellationToken cancellationToken)
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
