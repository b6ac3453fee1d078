using Paddock.Nvme.Wire;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>An admin queue that sends any command and returns what comes back.</summary>
internal sealed class RawAdmin : IDisposable
{
    private readonly RawHost _raw;

    /// <param name="port">Port of the server.</param>
    /// <param name="nqn">Subsystem.</param>
    public RawAdmin(int port, string nqn)
    {
        _raw = new RawHost(port);
        _raw.Initialize();
        Controller = (ushort)_raw.Connect(nqn);
        _raw.Enable();
    }

    /// <summary>Identifier of the controller.</summary>
    public ushort Controller { get; }

    /// <summary>Sends a command without data.</summary>
    public CompletionEntry Run(byte opcode, uint ns = 0, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0)
        => _raw.Run(Entry(opcode, ns, dword10, dword11) with { Dword12 = dword12, DataKind = SubmissionEntry.InTransport });

    /// <summary>Sends a command with data.</summary>
    public CompletionEntry Send(byte opcode, byte[] data, uint ns = 0, uint dword10 = 0, uint dword11 = 0)
    {
        _raw.Send(RawHost.Capsule(
            Entry(opcode, ns, dword10, dword11) with { DataLength = (uint)data.Length, DataKind = SubmissionEntry.InCapsule }, data));
        return _raw.Response();
    }

    /// <summary>Sends a command that returns data; null if it fails.</summary>
    public (NvmeStatus Status, byte[]? Data) Receive(
        byte opcode, int length, uint ns = 0, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0, uint dword14 = 0)
    {
        _raw.Send(RawHost.Capsule(Entry(opcode, ns, dword10, dword11) with
        {
            DataLength = (uint)length, DataKind = SubmissionEntry.InTransport, Dword12 = dword12, Dword14 = dword14,
        }));
        byte[] head = _raw.Receive(24);
        if (PduHeader.Read(head).Type != PduType.ControllerData)
        {
            return (CompletionEntry.Read(head.AsSpan(8)).Status, null);
        }

        byte[] data = _raw.Receive((int)DataPdu.Read(head).Length);
        return (_raw.Response().Status, data);
    }

    /// <summary>Identify.</summary>
    public (NvmeStatus Status, byte[]? Data) Identify(byte cns, uint ns = 0, byte commandSet = 0, ushort controller = 0)
        => Receive(AdminOpcode.Identify, 4096, ns, cns | ((uint)controller << 16), (uint)commandSet << 24);

    /// <summary>Get Log Page.</summary>
    public (NvmeStatus Status, byte[]? Data) Log(
        byte id, int length, byte specific = 0, bool keepEvent = false, uint offset = 0, uint ns = 0)
        => Receive(
            AdminOpcode.GetLogPage, length, ns,
            id | ((uint)specific << 8) | (keepEvent ? 1u << 15 : 0) | (((uint)(length / 4) - 1) << 16), 0, offset);

    /// <summary>Get Features without data.</summary>
    public CompletionEntry Feature(byte id, uint select = 0, uint dword11 = 0)
        => Run(AdminOpcode.GetFeatures, 0, id | (select << 8), dword11);

    /// <summary>Resets the controller, and enables it again.</summary>
    public void Reset()
    {
        _raw.Send(RawHost.Capsule(new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 2, NamespaceId = FabricsType.PropertySet,
            Dword11 = Properties.Configuration, Dword12 = 0x460060,
        }));
        Assert.Equal(NvmeStatus.Success, _raw.Response().Status);
        _raw.Enable();
    }

    /// <summary>Sends a command that is answered later, such as an Asynchronous Event Request.</summary>
    public void Post(byte opcode, uint ns = 0) => _raw.Send(RawHost.Capsule(
        Entry(opcode, ns, 0, 0) with { CommandId = 99, DataKind = SubmissionEntry.InTransport }));

    /// <summary>Waits for the next completion.</summary>
    public CompletionEntry Next() => _raw.Response();

    public void Dispose() => _raw.Dispose();

    private static SubmissionEntry Entry(byte opcode, uint ns, uint dword10, uint dword11) => new()
    {
        Opcode = opcode, Flags = 0x40, CommandId = 3, NamespaceId = ns, Dword10 = dword10, Dword11 = dword11,
    };
}
