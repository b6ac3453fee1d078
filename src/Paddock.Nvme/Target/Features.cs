using Paddock.Nvme.Ana;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>
/// Get and Set Features (NVMe base 2.0, 5.14 and 5.27): dword 10 has FID in 7:0, SEL in 10:8 and SV in bit 31, dword 11 the value. No
/// feature can be saved: each controller begins with the defaults, and the saved value is the default.
/// </summary>
internal sealed class Features
{
    private const byte Arbitration = 0x01, Power = 0x02, Temperature = 0x04, ErrorRecovery = 0x05, WriteCache = 0x06, Queues = 0x07,
        Atomicity = 0x0A, EventConfiguration = 0x0B, Timestamp = 0x0E, KeepAlive = 0x0F, HostBehaviorSupport = 0x16,
        CommandSetProfile = 0x19;

    private const uint Save = 1u << 31;
    private const uint Current = 0, Default = 1, Saved = 2, Supported = 3;

    // bits of Supported
    private const uint OfNamespace = 2, Changeable = 4;

    // values that are kept and returned, without an effect of their own: default, and the bits that may be set
    private static readonly Dictionary<byte, (uint Default, uint Bits)> _plain = new()
    {
        [Arbitration] = (0, 0xFFFF_FF07),
        [Power] = (0, 0xE0),
        [ErrorRecovery] = (0, 0xFFFF),
        [Atomicity] = (0, 1),
        [CommandSetProfile] = (0, 0),
    };

    private readonly Dictionary<byte, uint> _values = [];
    private readonly DeviceClock _clock = new(TimeProvider.System);
    private readonly TemperatureThresholds _temperature = new();
    private uint? _queues;

    /// <summary>Identifiers of the features that a controller has.</summary>
    public static IEnumerable<byte> IdentifiersOf(ControllerTraits traits) =>
    [
        .. _plain.Keys, Temperature, WriteCache, Queues, EventConfiguration, Timestamp, HostBehaviorSupport,
        .. traits.Transport == NvmeTransport.Tcp ? new[] { KeepAlive }
            : [InterruptSettings.Coalescing, InterruptSettings.VectorConfiguration],
    ];

    /// <summary>Whether writes may be acknowledged before they are durable.</summary>
    public bool HasWriteCache { get; private set; } = true;

    /// <summary>Number of I/O submission queues that the host was granted; null: it has not asked.</summary>
    public int? SubmissionQueues => _queues is { } set ? (int)(set & 0xFFFF) + 1 : null;

    /// <summary>Number of I/O completion queues that the host was granted; null: it has not asked.</summary>
    public int? CompletionQueues => _queues is { } set ? (int)(set >> 16) + 1 : null;

    /// <summary>What the host has declared to support.</summary>
    public HostBehavior HostBehavior { get; private set; }

    /// <summary>The controller's clock: milliseconds since it was reset, or since 1970 once the host has set it.</summary>
    public DeviceClock Clock => _clock;

    /// <summary>Limits of the temperature.</summary>
    public TemperatureThresholds Temperatures => _temperature;

    /// <summary>Runs Set Features.</summary>
    public NvmeStatus Set(Controller controller, Command command)
    {
        var entry = command.Entry;
        if ((entry.Dword10 & Save) != 0)
        {
            return NvmeStatus.FeatureNotSaveable;
        }

        bool isOfNamespace = (byte)entry.Dword10 == ErrorRecovery;
        if (AccessCheck.OfSetFeatures(controller, entry.NamespaceId, isOfNamespace) is not NvmeStatus.Success and var refusal)
        {
            return refusal;
        }

        uint value = entry.Dword11;
        switch ((byte)entry.Dword10)
        {
            case WriteCache:
                HasWriteCache = (value & 1) != 0;
                return NvmeStatus.Success;
            case Queues:
                return SetQueues(controller, command, value);
            case EventConfiguration:
                controller.Events.Wanted = value;
                return NvmeStatus.Success;
            case InterruptSettings.Coalescing or InterruptSettings.VectorConfiguration when controller.Interrupts is { } interrupts:
                return interrupts.Set((byte)entry.Dword10, value);
            case KeepAlive when controller.Traits.Transport == NvmeTransport.Tcp:
                controller.KeepAliveTimeout = value;
                return NvmeStatus.Success;
            case Temperature:
                return SetTemperature(controller, value);
            case Timestamp:
                return SetTimestamp(controller, command);
            case HostBehaviorSupport:
                return SetHostBehavior(command);
            case var id when _plain.TryGetValue(id, out var plain):
                if ((value & ~plain.Bits) != 0)
                {
                    return NvmeStatus.InvalidField;
                }

                _values[id] = value;
                return NvmeStatus.Success;
            default:
                return NvmeStatus.InvalidField;
        }
    }

    /// <summary>Runs Get Features.</summary>
    public NvmeStatus Get(Controller controller, Command command)
    {
        byte id = (byte)command.Entry.Dword10;
        uint select = (command.Entry.Dword10 >> 8) & 7;
        if (select > Supported || !IdentifiersOf(controller.Traits).Contains(id))
        {
            return NvmeStatus.InvalidField;
        }

        if (select == Supported)
        {
            command.Result = id == ErrorRecovery ? Changeable | OfNamespace : id == CommandSetProfile ? 0 : Changeable;
            return NvmeStatus.Success;
        }

        if (id == ErrorRecovery && AccessCheck.Of(controller, command.Entry.NamespaceId) is not NvmeStatus.Success and var refusal)
        {
            return refusal;
        }

        bool current = select == Current;
        switch (id)
        {
            case Temperature:
                return _temperature.Get(command.Entry.Dword11, current) is { } degrees
                    ? Answer(command, degrees) : NvmeStatus.InvalidField;
            case Timestamp:
                return Answer(command, DeviceClock.Size, current ? _clock.Read() : 0);
            case HostBehaviorSupport:
                return AnswerHostBehavior(command, current ? HostBehavior : default);
            case InterruptSettings.Coalescing or InterruptSettings.VectorConfiguration:
                return controller.Interrupts?.Get(id, command.Entry.Dword11) is { } set
                    ? Answer(command, current ? set : set & InterruptSettings.DefaultBits(id)) : NvmeStatus.InvalidField;
            default:
                return Answer(command, current ? CurrentOf(controller, id) : DefaultOf(id));
        }
    }

    private uint CurrentOf(Controller controller, byte id) => id switch
    {
        WriteCache => HasWriteCache ? 1u : 0u,
        Queues => _queues ?? 0,
        EventConfiguration => controller.Events.Wanted,
        KeepAlive => controller.KeepAliveTimeout,
        _ => _values.TryGetValue(id, out uint set) ? set : DefaultOf(id),
    };

    private static uint DefaultOf(byte id) => id == WriteCache ? 1 : _plain.TryGetValue(id, out var plain) ? plain.Default : 0;

    private static NvmeStatus Answer(Command command, uint value)
    {
        command.Result = value;
        return NvmeStatus.Success;
    }

    private static NvmeStatus Answer(Command command, int length, ulong value)
    {
        if (command.Data.Length < length)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        new Fields(command.Data.Span).U64(0, value);
        command.Written = length;
        return NvmeStatus.Success;
    }

    private static NvmeStatus AnswerHostBehavior(Command command, HostBehavior behavior)
    {
        if (command.Data.Length < HostBehavior.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        behavior.WriteTo(command.Data.Span);
        command.Written = HostBehavior.Size;
        return NvmeStatus.Success;
    }

    private NvmeStatus SetQueues(Controller controller, Command command, uint value)
    {
        if ((value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF)
        {
            return NvmeStatus.InvalidField;
        }

        if (controller.HasIoQueues)
        {
            return NvmeStatus.CommandSequence;
        }

        uint most = (uint)controller.Traits.IoQueues - 1;
        uint granted = Math.Min(value & 0xFFFF, most) | (Math.Min(value >> 16, most) << 16);
        _queues = granted;
        return Answer(command, granted);
    }

    private NvmeStatus SetTemperature(Controller controller, uint value)
    {
        if (!_temperature.Set(value))
        {
            return NvmeStatus.InvalidField;
        }

        if (_temperature.IsExceeded)
        {
            controller.Events.TemperatureWarning();
        }

        return NvmeStatus.Success;
    }

    private NvmeStatus SetTimestamp(Controller controller, Command command)
    {
        if (command.Data.Length < DeviceClock.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        controller.Subsystem.EventLog.AddTimestampChange(controller.Id, _clock.Read(), _clock.SinceReset);
        _clock.Set(command.Data.Span);
        return NvmeStatus.Success;
    }

    private NvmeStatus SetHostBehavior(Command command)
    {
        if (command.Data.Length < HostBehavior.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        if (HostBehavior.Read(command.Data.Span) is not { } behavior)
        {
            return NvmeStatus.InvalidField;
        }

        HostBehavior = behavior;
        return NvmeStatus.Success;
    }
}
