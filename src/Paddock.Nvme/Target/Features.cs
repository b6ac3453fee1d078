using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>
/// Get and Set Features (NVMe base 2.0, 5.14 and 5.27): dword 10 has FID in 7:0, SEL in 10:8 and SV in bit 31, dword 11 the value.
/// </summary>
internal sealed class Features
{
    private const byte Arbitration = 0x01, Power = 0x02, Temperature = 0x04, ErrorRecovery = 0x05, WriteCache = 0x06, Queues = 0x07,
        Atomicity = 0x0A, EventConfiguration = 0x0B, KeepAlive = 0x0F, HostBehavior = 0x16, CommandSetProfile = 0x19;

    private const uint Save = 1u << 31;

    private readonly Dictionary<byte, uint> _values = new()
    {
        [Arbitration] = 0,
        [Power] = 0,
        [Temperature] = 343,
        [ErrorRecovery] = 0,
        [Atomicity] = 0,
        [HostBehavior] = 0,
        [CommandSetProfile] = 0,
    };

    private uint _queues;

    /// <summary>Whether writes may be acknowledged before they are durable.</summary>
    public bool HasWriteCache { get; private set; } = true;

    /// <summary>Runs Set Features.</summary>
    public NvmeStatus Set(Controller controller, Command command)
    {
        var entry = command.Entry;
        if ((entry.Dword10 & Save) != 0)
        {
            return NvmeStatus.FeatureNotSaveable;
        }

        uint value = entry.Dword11;
        switch ((byte)entry.Dword10)
        {
            case WriteCache:
                HasWriteCache = (value & 1) != 0;
                return NvmeStatus.Success;
            case Queues:
                if ((value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF)
                {
                    return NvmeStatus.InvalidField;
                }

                if (controller.HasIoQueues)
                {
                    return NvmeStatus.CommandSequence;
                }

                uint most = (uint)controller.Traits.IoQueues - 1;
                _queues = Math.Min(value & 0xFFFF, most) | (Math.Min(value >> 16, most) << 16);
                command.Result = _queues;
                return NvmeStatus.Success;
            case EventConfiguration:
                controller.Events.Wanted = value;
                return NvmeStatus.Success;
            case InterruptSettings.Coalescing or InterruptSettings.VectorConfiguration when controller.Interrupts is { } interrupts:
                return interrupts.Set((byte)entry.Dword10, value);
            case KeepAlive when controller.Traits.Transport == NvmeTransport.Tcp:
                controller.KeepAliveTimeout = value;
                return NvmeStatus.Success;
            case CommandSetProfile:
                return value == 0 ? NvmeStatus.Success : NvmeStatus.InvalidField;
            case var id when _values.ContainsKey(id):
                _values[id] = value;
                return NvmeStatus.Success;
            default:
                return NvmeStatus.InvalidField;
        }
    }

    /// <summary>Runs Get Features.</summary>
    public NvmeStatus Get(Controller controller, Command command)
    {
        const uint current = 0, defaults = 1, supported = 3;
        byte id = (byte)command.Entry.Dword10;
        uint select = (command.Entry.Dword10 >> 8) & 7;
        uint? value = id switch
        {
            WriteCache => HasWriteCache ? 1u : 0u,
            Queues => _queues,
            EventConfiguration => controller.Events.Wanted,
            KeepAlive when controller.Traits.Transport == NvmeTransport.Tcp => controller.KeepAliveTimeout,
            InterruptSettings.Coalescing or InterruptSettings.VectorConfiguration
                => controller.Interrupts?.Get(id, command.Entry.Dword11),
            _ => _values.TryGetValue(id, out uint v) ? v : null,
        };
        if (value is null || select is not (current or defaults or supported))
        {
            return NvmeStatus.InvalidField;
        }

        // capabilities: changeable (bit 2), neither saveable nor of one namespace
        command.Result = select == supported ? 4 : value.Value;
        return NvmeStatus.Success;
    }
}
