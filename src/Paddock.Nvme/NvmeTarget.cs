using System.Buffers.Binary;
using System.Security.Cryptography;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme;

/// <summary>Limits of a target, which bound the resources of each client.</summary>
public sealed record NvmeTargetOptions
{
    /// <summary>Connections at once, of all hosts.</summary>
    public int Connections { get; init; } = 256;

    /// <summary>I/O queues of one host.</summary>
    public int IoQueues { get; init; } = 64;

    /// <summary>Entries of a queue: commands in flight on one connection.</summary>
    public int QueueEntries { get; init; } = 1024;

    /// <summary>Maximum in-capsule data of a command, in bytes.</summary>
    public int InCapsuleBytes { get; init; } = 128 << 10;

    /// <summary>Data of one command, in bytes: a power of two, at least 4 KiB.</summary>
    public int MaxTransferBytes { get; init; } = 1 << 20;

    /// <summary>Maximum data of one connection in memory: unsent replies and granted transfers.</summary>
    public int ConnectionBytes { get; init; } = 16 << 20;

    /// <summary>Maximum data of all connections in memory.</summary>
    public long TotalBytes { get; init; } = 1L << 30;

    /// <summary>Memory for that data, if several servers share it: its limit then replaces <see cref="TotalBytes"/>.</summary>
    internal SlabPool? Buffers { get; init; }

    /// <summary>Timeout of the handshake of a client.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Timeout of the authentication of a queue: the same as in the target of Linux, since slow machines compute for long.
    /// </summary>
    public TimeSpan AuthenticationTimeout { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>Idle timeout of a host without keep alive; zero for none.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.Zero;

    /// <summary>Whether header and data digests may be negotiated.</summary>
    public bool Digests { get; init; } = true;
}

/// <summary>Subsystems and the controllers of their hosts. Independent of the transport.</summary>
public sealed class NvmeTarget
{
    private readonly Lock _lock = new();
    private volatile NvmeSubsystem[] _subsystems = [];

    /// <param name="options">Limits.</param>
    public NvmeTarget(NvmeTargetOptions options)
    {
        Options = options;
        Buffers = options.Buffers ?? new SlabPool(options.TotalBytes);
        Discovery = new NvmeSubsystem(DiscoveryLog.WellKnownNqn, "discovery");
    }

    /// <summary>Raised when a host has authenticated its admin queue, with its name and the negotiated parameters.</summary>
    public event Action<string, string>? Authenticated;

    /// <summary>Limits.</summary>
    public NvmeTargetOptions Options { get; }

    /// <summary>The subsystems that hosts may connect to.</summary>
    public IReadOnlyList<NvmeSubsystem> Subsystems => _subsystems;

    /// <summary>Bytes of data in memory now.</summary>
    public long BytesInMemory => Buffers.Lent;

    /// <summary>Changes when unflushed writes may be lost: at each start and at a power cut.</summary>
    internal ulong Incarnation { get; private set; } = NewIncarnation();

    internal NvmeSubsystem Discovery { get; }

    internal SlabPool Buffers { get; }

    internal ulong Generation { get; private set; }

    /// <summary>Adds a subsystem.</summary>
    public void Add(NvmeSubsystem subsystem)
    {
        lock (_lock)
        {
            if (Find(subsystem.Nqn) is not null)
            {
                throw new ArgumentException($"there is a subsystem {subsystem.Nqn} already");
            }

            _subsystems = [.. _subsystems, subsystem];
            Generation++;
        }
    }

    /// <summary>
    /// Changes the incarnation: acknowledged writes that were not flushed are lost, or will be before a host reconnects.
    /// </summary>
    public void ForgetUnflushed() => Incarnation = NewIncarnation();

    /// <summary>Ends every controller: hosts see their connections fail.</summary>
    public void DropControllers()
    {
        foreach (var controller in AllControllers())
        {
            controller.End();
        }
    }

    private static ulong NewIncarnation() => BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    /// <summary>Ends the controllers whose hosts have been silent for too long.</summary>
    /// <returns>How many.</returns>
    internal int DropExpired()
    {
        int dropped = 0;
        foreach (var controller in AllControllers())
        {
            if (controller.IsExpired)
            {
                controller.End();
                dropped++;
            }
        }

        return dropped;
    }

    /// <summary>Raised when a connection becomes a queue, is rejected, or ends; on its thread.</summary>
    internal event Action<ClientNotice>? ClientChanged;

    internal void Notify(ClientNotice notice) => ClientChanged?.Invoke(notice);

    internal void TellAuthenticated(string host, string agreed) => Authenticated?.Invoke(host, agreed);

    internal NvmeSubsystem? Find(string nqn)
        => nqn == DiscoveryLog.WellKnownNqn ? Discovery : Array.Find(_subsystems, s => s.Nqn == nqn);

    internal IReadOnlyList<string> SubsystemsFor(string host)
        => [.. _subsystems.Where(s => s.Allows(host)).Select(s => s.Nqn)];

    private IEnumerable<Controller> AllControllers() => _subsystems.Append(Discovery).SelectMany(s => s.Controllers());
}
