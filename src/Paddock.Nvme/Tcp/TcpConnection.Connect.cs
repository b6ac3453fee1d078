using System.Net;
using Paddock.Nvme.Auth;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

// Connect: the command that makes a connection a queue of a controller (NVMe base 2.0, 6.3)
internal sealed partial class TcpConnection
{
    // offsets in the command, for a refusal
    private const ushort QueueIdField = 42, QueueSizeField = 44;
    private const uint InData = 1 << 16;
    private const byte NoFlowControl = 1 << 2;

    // AUTHREQ in the result: the queue must be authenticated (ATR); bit 18 would ask for a secure channel besides (ASCR), and is never set
    private const uint AuthenticationRequired = 1 << 17;

    private NvmeStatus Connect(Command command)
    {
        var entry = command.Entry;
        if (entry.Opcode != Opcode.Fabrics || entry.FabricsType != FabricsType.Connect || _controller is not null)
        {
            return NvmeStatus.CommandSequence;
        }

        // dword 10: record format, queue identifier; dword 11: queue size, attributes; dword 12: keep alive timeout
        if ((entry.Dword10 & 0xFFFF) != 0)
        {
            return NvmeStatus.ConnectIncompatibleFormat;
        }

        if (command.Data.Length < ConnectData.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        ushort queue = (ushort)(entry.Dword10 >> 16);
        int entries = (int)(entry.Dword11 & 0xFFFF) + 1;
        if (entries < 2 || entries > _options.QueueEntries)
        {
            return Invalid(command, QueueSizeField);
        }

        var (hostId, controllerId, subsystemNqn, hostNqn) = ConnectData.Read(command.Data.Span);
        if (subsystemNqn is null || _target.Find(subsystemNqn) is not { } subsystem)
        {
            return Invalid(command, InData | ConnectData.SubsystemField);
        }

        if (hostNqn is null || !subsystem.Allows(hostNqn))
        {
            return NvmeStatus.ConnectInvalidHost;
        }

        var controller = queue == 0
            ? subsystem.Create(_target, hostNqn, hostId)
            : subsystem.FindController(controllerId);
        if (controller is null)
        {
            return queue == 0 ? NvmeStatus.ConnectControllerBusy : Invalid(command, InData | ConnectData.ControllerIdField);
        }

        if (queue == 0)
        {
            controller.KeepAliveTimeout = entry.Dword12;
            controller.LocalAddress = _socket.LocalEndPoint as IPEndPoint;
        }
        else if (controller.IsDiscovery || queue > _options.IoQueues)
        {
            return Invalid(command, QueueIdField);
        }
        else if (controller.Host != hostNqn || controller.HostId != hostId || !controller.IsReady)
        {
            return Invalid(command, InData | ConnectData.HostField);
        }

        bool authenticates = subsystem.Authentication is not null;
        if (!(authenticates && queue != 0 ? controller.Expect(queue, this) : controller.Attach(queue, this)))
        {
            return Invalid(command, QueueIdField);
        }

        lock (_lock)
        {
            _entries = entries;
        }

        _flowOff = (entry.Dword11 >> 16 & NoFlowControl) != 0;
        _queue = queue;
        command.Result = controller.Id;
        if (authenticates)
        {
            _authentication = new QueueAuthentication(hostNqn, subsystemNqn, () => subsystem.Authentication, _gone.Token);
            command.Result |= AuthenticationRequired;
        }

        _controller = controller;
        return NvmeStatus.Success;
    }

    private static NvmeStatus Invalid(Command command, uint field)
    {
        command.Result = field;
        return NvmeStatus.ConnectInvalidParameters;
    }
}
