using System.Buffers.Binary;

namespace Paddock.VfioUser.Pci;

/// <summary>
/// Configuration space of the function (PCI Express base specification, 7.5): a header of type 0, power management, MSI-X and PCI Express
/// with function-level reset. Used on the message thread only.
/// <code>
/// offset size
///      0   64  header
///     40    8  power management (7.5.2)
///     50   12  MSI-X (7.7.2)
///     60   60  PCI Express (7.5.3)
///    100       extended capabilities: none
/// </code>
/// </summary>
internal sealed class ConfigurationSpace
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 4096;

    // header
    private const int DeviceAt = 0x02, CommandAt = 0x04, StatusAt = 0x06, ClassAt = 0x08, Bar0At = 0x10, SubsystemAt = 0x2C,
        CapabilitiesAt = 0x34, LineAt = 0x3C, PinAt = 0x3D;

    private const ushort MemorySpace = 1 << 1, BusMasterBit = 1 << 2, ParityError = 1 << 6, SystemError = 1 << 8, PinDisable = 1 << 10;
    private const ushort HasCapabilities = 1 << 4;
    private const byte InterruptStatus = 1 << 3;
    private const uint MemoryBar64 = 4;

    // capabilities
    private const int PowerAt = 0x40, MsiXAt = 0x50, ExpressAt = 0x60;
    private const byte PowerId = 0x01, MsiXId = 0x11, ExpressId = 0x10;
    private const int PowerStateAt = PowerAt + 4, MsiXControlAt = MsiXAt + 2, DeviceControlAt = ExpressAt + 8;
    private const ushort PowerVersion = 3, PowerStateMask = 3, NoSoftReset = 1 << 3;
    private const ushort MsiXEnable = 1 << 15, MsiXMask = 1 << 14;
    private const ushort ResetFunction = 1 << 15;

    private readonly byte[] _bytes = new byte[Size];

    // bits that the client may write; others keep their value
    private readonly byte[] _writable = new byte[Size];
    private readonly ConfigurationOptions _options;
    private readonly IFunctionEvents _events;

    /// <param name="options">What it describes.</param>
    /// <param name="events">Told of what a write causes.</param>
    public ConfigurationSpace(ConfigurationOptions options, IFunctionEvents events)
    {
        _options = options;
        _events = events;
        Reset();
    }

    /// <summary>Whether the function may access memory and raise message-signalled interrupts.</summary>
    public bool IsBusMaster => (U16(CommandAt) & BusMasterBit) != 0 && (U16(PowerStateAt) & PowerStateMask) == 0;

    /// <summary>Whether MSI-X is enabled.</summary>
    public bool IsMsiXEnabled => _options.Vectors > 0 && (U16(MsiXControlAt) & MsiXEnable) != 0;

    /// <summary>Whether the command register disables the interrupt pin.</summary>
    public bool IsPinDisabled => (U16(CommandAt) & PinDisable) != 0;

    /// <summary>Reads; the caller has checked the range.</summary>
    /// <param name="offset">Offset of the first byte.</param>
    /// <param name="to">Receives the bytes.</param>
    /// <param name="interrupts">Whether the function asserts its interrupt pin, disabled or not.</param>
    public void Read(int offset, Span<byte> to, bool interrupts)
    {
        _bytes.AsSpan(offset, to.Length).CopyTo(to);
        int status = StatusAt - offset;
        if (interrupts && status >= 0 && status < to.Length)
        {
            to[status] |= InterruptStatus;
        }
    }

    /// <summary>Writes; bits that are read-only keep their value. The caller has checked the range.</summary>
    public void Write(int offset, ReadOnlySpan<byte> from)
    {
        for (int i = 0; i < from.Length; i++)
        {
            int at = offset + i;
            _bytes[at] = (byte)((_bytes[at] & ~_writable[at]) | (from[i] & _writable[at]));
        }

        // the bit reads as zero
        int reset = DeviceControlAt + 1 - offset;
        if (reset >= 0 && reset < from.Length && (from[reset] & (ResetFunction >> 8)) != 0)
        {
            Reset();
            _events.FunctionReset();
        }

        _events.ConfigurationChanged();
    }

    /// <summary>Returns to the initial values, as a reset of the function does.</summary>
    public void Reset()
    {
        Array.Clear(_bytes);
        Array.Clear(_writable);
        WriteHeader();
        WritePower();
        WriteMsiX();
        WriteExpress();
    }

    private void WriteHeader()
    {
        Set16(0, PciIds.Vendor);
        Set16(DeviceAt, PciIds.Device);
        Set16(CommandAt, 0, MemorySpace | BusMasterBit | ParityError | SystemError | PinDisable);
        Set16(StatusAt, HasCapabilities);
        Set32(ClassAt, PciIds.ClassCode << 8);
        _writable[0x0C] = 0xFF; // cache line size: no effect, but writable for legacy software
        ulong bar = ~((ulong)_options.Bar0Size - 1);
        Set32(Bar0At, MemoryBar64, (uint)bar);
        Set32(Bar0At + sizeof(uint), 0, (uint)(bar >> 32));
        Set16(SubsystemAt, PciIds.Vendor);
        Set16(SubsystemAt + sizeof(ushort), PciIds.Device);
        _bytes[CapabilitiesAt] = PowerAt;
        _writable[LineAt] = 0xFF;
        _bytes[PinAt] = (byte)(_options.HasPin ? 1 : 0);
    }

    // no power management events; the state survives the return from D3hot
    private void WritePower()
    {
        Set16(PowerAt, (ushort)(PowerId | ((_options.Vectors > 0 ? MsiXAt : ExpressAt) << 8)));
        Set16(PowerAt + 2, PowerVersion);
        Set16(PowerStateAt, NoSoftReset, PowerStateMask);
    }

    private void WriteMsiX()
    {
        if (_options.Vectors == 0)
        {
            return;
        }

        Set16(MsiXAt, MsiXId | (ExpressAt << 8));
        Set16(MsiXControlAt, (ushort)(_options.Vectors - 1), MsiXEnable | MsiXMask);
        Set32(MsiXAt + 4, _options.TableOffset);
        Set32(MsiXAt + 8, _options.PendingOffset);
    }

    private void WriteExpress()
    {
        const ushort version = 2;
        const uint roleBasedErrors = 1u << 15, functionReset = 1u << 28;
        const ushort errorReporting = 0xF, relaxedOrdering = 1 << 4, payloadSize = 7 << 5, noSnoop = 1 << 11, readSize = 7 << 12;
        const ushort readSize512 = 2 << 12;
        const uint speed8 = 3, width4 = 4 << 4;

        Set16(ExpressAt, ExpressId);
        Set16(ExpressAt + 2, version);
        Set32(ExpressAt + 4, roleBasedErrors | functionReset);
        Set16(
            DeviceControlAt, relaxedOrdering | noSnoop | readSize512,
            errorReporting | relaxedOrdering | payloadSize | noSnoop | readSize);
        Set32(ExpressAt + 12, speed8 | width4);
        Set16(ExpressAt + 16, 0, 0x00C0 | 3);
        Set16(ExpressAt + 18, (ushort)(speed8 | width4));
        Set32(ExpressAt + 0x24, 1u << 4);
        Set16(ExpressAt + 0x28, 0, 0x1F);
        Set32(ExpressAt + 0x2C, 0xE);
        Set16(ExpressAt + 0x30, (ushort)speed8, 0xF);
    }

    private ushort U16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(at));

    private void Set16(int at, ushort value, ushort writable = 0)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(at), value);
        BinaryPrimitives.WriteUInt16LittleEndian(_writable.AsSpan(at), writable);
    }

    private void Set32(int at, uint value, uint writable = 0)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at), value);
        BinaryPrimitives.WriteUInt32LittleEndian(_writable.AsSpan(at), writable);
    }
}
