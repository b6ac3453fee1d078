using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Host;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

// what the controller tells unasked (NVMe base 2.0, 5.2): that a namespace has changed. Its devices have the size of then from there on
public sealed partial class NvmeTcpHost
{
    private const byte EventFeature = 0x0B, ChangedNamespaces = 0x04;
    private const uint NamespaceEvents = 1 << 8;

    // an event's type and information, without the log page that it points at
    private const ulong EventKind = 0xFF07, NamespaceChanged = 2;

    private readonly List<RemoteNamespace> _followers = [];
    private Task _listening = Task.CompletedTask;

    /// <summary>
    /// Raised after a namespace was found to have another size; its number of bytes is that of its devices by then. A handler must not wait for
    /// requests of this host: it may run while the host connects anew.
    /// </summary>
    public event Action<uint>? Resized;

    /// <summary>Tells a device from now on when its namespace has another size.</summary>
    internal void Follow(RemoteNamespace device)
    {
        lock (_followers)
        {
            _followers.Add(device);
        }
    }

    /// <summary>Tells it no more.</summary>
    internal void Forget(RemoteNamespace device)
    {
        lock (_followers)
        {
            _followers.Remove(device);
        }
    }

    // ends with its connection; the next has one of its own
    private async Task ListenAsync(HostQueue admin)
    {
        try
        {
            var wish = new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = EventFeature, Dword11 = NamespaceEvents };
            bool listens = (await admin.RunAsync(wish, default, default, _stop.Token)).Status == NvmeStatus.Success;
            while (listens)
            {
                var told = await admin.RunAsync(new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest }, default, default, _stop.Token);
                listens = told.Status == NvmeStatus.Success;
                if (listens && (told.Result & EventKind) == NamespaceChanged)
                {
                    // the log is read first: a change from here on is told anew
                    await ReadLogAsync(ChangedNamespaces, uint.MaxValue, 4096, _stop.Token);
                    await LookAgainAsync(_stop.Token);
                }
            }
        }
        catch (Exception e) when (e is BlockException or OperationCanceledException)
        {
            // whoever asks something finds that out for himself
        }
    }

    private async ValueTask LookAgainAsync(CancellationToken cancellationToken)
    {
        RemoteNamespace[] followers;
        lock (_followers)
        {
            followers = [.. _followers];
        }

        foreach (uint id in followers.Select(f => f.Id).Distinct())
        {
            await LookAgainAsync(id, cancellationToken);
        }
    }

    /// <summary>Asks for a namespace's size of now.</summary>
    internal async ValueTask LookAgainAsync(uint id, CancellationToken cancellationToken)
    {
        byte[] page = await IdentifyAsync(0x00, id, 0, cancellationToken);
        Remember(id, page);
        TakeSize(id, BinaryPrimitives.ReadUInt64LittleEndian(page));
    }

    private void TakeSize(uint id, ulong blocks)
    {
        bool changed = false;
        lock (_followers)
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
}
