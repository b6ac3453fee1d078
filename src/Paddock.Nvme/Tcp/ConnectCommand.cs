using Paddock.Nvme.Auth;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>Connect: the command that makes a connection a queue of a controller (NVMe base 2.0, 6.3).</summary>
internal sealed class ConnectCommand(
    NvmeTarget target, QueueAdmission admission, CommandTable<TcpCommand> table, IQueueConnection connection)
{
    // offsets of fields in the command, for a refusal
    private const ushort QueueIdField = 42, QueueSizeField = 44;
    private const uint InData = 1 << 16;
    private const byte NoFlowControl = 1 << 2;

    // AUTHREQ in the result: the queue must be authenticated (ATR); bit 18 would require a secure channel too (ASCR), and is never set
    private const uint AuthenticationRequired = 1 << 17;

    /// <summary>Runs the command.</summary>
    public NvmeStatus Run(Command command)
    {
        var entry = command.Entry;
        if (!QueueAdmission.IsConnect(entry) || admission.Controller is not null)
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

        if (Entries(entry) < 2 || Entries(entry) > target.Options.QueueEntries)
        {
            return Invalid(command, QueueSizeField);
        }

        var data = ConnectData.Read(command.Data.Span);
        var status = Connect(command, data);
        if (status != NvmeStatus.Success)
        {
            connection.Rejected(data.HostNqn, data.SubsystemNqn, ReasonOf(status, command.Result));
        }
        else if (admission.Authentication is null)
        {
            connection.Admitted();
        }

        return status;
    }

    private NvmeStatus Connect(
        Command command, (UInt128 HostId, ushort ControllerId, string? SubsystemNqn, string? HostNqn) data)
    {
        var entry = command.Entry;
        if (data.SubsystemNqn is null || target.Find(data.SubsystemNqn) is not { } subsystem)
        {
            return Invalid(command, InData | ConnectData.SubsystemField);
        }

        if (data.HostNqn is null || !data.HostNqn.StartsWith("nqn.", StringComparison.Ordinal) || !subsystem.Allows(data.HostNqn))
        {
            return NvmeStatus.ConnectInvalidHost;
        }

        ushort queue = (ushort)(entry.Dword10 >> 16);
        var controller = queue == 0
            ? subsystem.Create(target, data.HostNqn, data.HostId, new ControllerTraits(NvmeTransport.Tcp, target.Options.IoQueues))
            : subsystem.FindController(data.ControllerId);
        if (controller is null)
        {
            return queue == 0 ? NvmeStatus.ConnectControllerBusy : Invalid(command, InData | ConnectData.ControllerIdField);
        }

        // a controller on a PCI bus has its queues in the memory of its host
        int most = Math.Min(controller.SubmissionQueues, controller.CompletionQueues);
        if (queue != 0 && (controller.IsDiscovery || controller.Traits.Transport != NvmeTransport.Tcp || queue > most))
        {
            return Invalid(command, QueueIdField);
        }

        if (queue != 0 && (controller.Host != data.HostNqn || controller.HostId != data.HostId || !controller.IsReady))
        {
            return Invalid(command, InData | ConnectData.HostField);
        }

        return Join(command, controller, queue, data.SubsystemNqn);
    }

    private NvmeStatus Join(Command command, Controller controller, ushort queue, string subsystemNqn)
    {
        var entry = command.Entry;
        if (queue == 0)
        {
            controller.KeepAliveTimeout = entry.Dword12;
            controller.LocalAddress = connection.LocalAddress;
        }

        var subsystem = controller.Subsystem;
        bool authenticates = subsystem.Authentication is not null;
        if (!(authenticates && queue != 0 ? controller.Expect(queue, connection) : controller.Attach(queue, connection)))
        {
            return Invalid(command, QueueIdField);
        }

        table.Resize(Entries(entry));
        command.Result = controller.Id;
        QueueAuthentication? authentication = null;
        if (authenticates)
        {
            authentication = new QueueAuthentication(controller.Host, subsystemNqn, () => subsystem.Authentication, connection.Gone);
            command.Result |= AuthenticationRequired;
        }

        admission.Connect(controller, queue, (entry.Dword11 >> 16 & NoFlowControl) != 0, authentication);
        return NvmeStatus.Success;
    }

    private static string ReasonOf(NvmeStatus status, ulong field) => status switch
    {
        NvmeStatus.ConnectInvalidHost => "the host is not allowed",
        NvmeStatus.ConnectControllerBusy => "no controller is left",
        _ => field switch
        {
            InData | ConnectData.SubsystemField => "unknown subsystem",
            InData | ConnectData.ControllerIdField => "unknown controller",
            InData | ConnectData.HostField => "the controller is another host's, or is not ready",
            _ => "invalid queue",
        },
    };

    private static int Entries(in SubmissionEntry entry) => (int)(entry.Dword11 & 0xFFFF) + 1;

    private static NvmeStatus Invalid(Command command, uint field)
    {
        command.Result = field;
        return NvmeStatus.ConnectInvalidParameters;
    }
}
