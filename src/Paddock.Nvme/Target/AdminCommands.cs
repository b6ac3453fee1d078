using Paddock.Nvme.Ana;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>Runs the commands of an admin queue.</summary>
internal static class AdminCommands
{
    /// <summary>Runs a command and completes it, unless an event does so later.</summary>
    public static async Task RunAsync(Controller controller, Command command)
    {
        NvmeStatus? status;
        try
        {
            status = await ExecuteAsync(controller, command);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            status = NvmeStatus.InternalError;
        }

        if (status is { } done)
        {
            command.Finish(done);
        }
    }

    /// <summary>Runs a command.</summary>
    /// <returns>Its status; null when it completes later.</returns>
    private static async ValueTask<NvmeStatus?> ExecuteAsync(Controller controller, Command command)
    {
        var entry = command.Entry;
        controller.Touch();
        bool overTcp = controller.Traits.Transport == NvmeTransport.Tcp;
        if (entry.Opcode == Opcode.Fabrics && overTcp)
        {
            return await FabricsAsync(controller, command);
        }

        // hosts query a discovery controller before or after enabling it
        if (!controller.IsReady)
        {
            return NvmeStatus.CommandSequence;
        }

        if (controller.IsDiscovery && entry.Opcode is AdminOpcode.Abort or AdminOpcode.NamespaceManagement
            or AdminOpcode.NamespaceAttachment or AdminOpcode.FormatNvm)
        {
            return NvmeStatus.InvalidOpcode;
        }

        bool needsDisk = entry.Opcode is AdminOpcode.GetLbaStatus or AdminOpcode.NamespaceManagement or AdminOpcode.NamespaceAttachment
            or AdminOpcode.FormatNvm;
        if (needsDisk && AccessCheck.Of(controller, entry.NamespaceId) is not NvmeStatus.Success and var refusal)
        {
            return refusal;
        }

        switch (entry.Opcode)
        {
            case AdminOpcode.Identify:
                if (command.Data.Length < IdentifyController.Size)
                {
                    return NvmeStatus.SglLengthInvalid;
                }

                command.Written = IdentifyController.Size;
                return IdentifyCommand.Execute(controller, entry, command.Data.Span[..command.Written]);
            case AdminOpcode.GetLogPage:
                long length = LogPages.LengthOf(entry);
                if (command.Data.Length < length)
                {
                    return NvmeStatus.SglLengthInvalid;
                }

                command.Written = (int)length;
                return LogPages.Execute(controller, entry, command.Data.Span[..command.Written]);
            case AdminOpcode.GetLbaStatus:
                return await BlockStatusCommand.ExecuteAsync(controller, command);
            case AdminOpcode.SetFeatures:
                return controller.Features.Set(controller, command);
            case AdminOpcode.GetFeatures:
                return controller.Features.Get(controller, command);
            case AdminOpcode.KeepAlive when overTcp:
                controller.HasKeptAlive = true;
                return NvmeStatus.Success;
            case AdminOpcode.AsyncEventRequest:
                return controller.Events.Request(command);
            case AdminOpcode.NamespaceManagement:
                return await NamespaceCommands.ManageAsync(controller, command);
            case AdminOpcode.NamespaceAttachment:
                return await NamespaceCommands.AttachAsync(controller, command);
            case AdminOpcode.FormatNvm:
                return await FormatCommand.RunAsync(controller, command);
            case AdminOpcode.Abort:
                // dword 10: the queue in 15:0, the command in 31:16. Bit 0 of the result: not aborted (NVMe base 2.0, 5.1)
                ushort queue = (ushort)entry.Dword10, id = (ushort)(entry.Dword10 >> 16);
                bool aborted = queue == 0 ? controller.Events.Abort(id) : controller.TryAbort(queue, id);
                command.Result = aborted ? 0u : 1u;
                return NvmeStatus.Success;
            default:
                return NvmeStatus.InvalidOpcode;
        }
    }

    private static async ValueTask<NvmeStatus?> FabricsAsync(Controller controller, Command command)
    {
        var entry = command.Entry;
        bool eightBytes = (entry.Dword10 & 7) == 1;
        switch (entry.FabricsType)
        {
            case FabricsType.PropertyGet:
                if (controller.GetProperty(entry.Dword11, eightBytes) is not { } value)
                {
                    return NvmeStatus.InvalidField;
                }

                command.Result = value;
                return NvmeStatus.Success;
            case FabricsType.PropertySet:
                return eightBytes
                    ? NvmeStatus.InvalidField
                    : await controller.SetPropertyAsync(entry.Dword11, entry.Dword12 | ((ulong)entry.Dword13 << 32));
            default:
                return NvmeStatus.InvalidOpcode;
        }
    }
}
