using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>Namespace Management and Namespace Attachment (NVMe base 2.0, 5.23 and 5.22): dword 10 has SEL in 3:0.</summary>
internal static class NamespaceCommands
{
    private const uint AllNamespaces = 0xFFFFFFFF;
    private const uint Create = 0, Delete = 1, Attach = 0, Detach = 1;

    /// <summary>Namespace Management: creates a namespace, or deletes one or all of them.</summary>
    public static async Task<NvmeStatus> ManageAsync(Controller controller, Command command)
    {
        if (controller.Subsystem.Manager is not { } manager)
        {
            return NvmeStatus.InvalidOpcode;
        }

        // files are created and flushed: that must not run on the thread of a queue
        await Task.Yield();
        if (!await TryBeginChangeAsync(controller.Subsystem, command))
        {
            return NvmeStatus.AbortRequested;
        }

        try
        {
            return (command.Entry.Dword10 & 15) switch
            {
                Create => await CreateAsync(controller, manager, command),
                Delete => await DeleteAsync(controller, manager, command),
                _ => NvmeStatus.InvalidField,
            };
        }
        finally
        {
            controller.Subsystem.Changes.Release();
        }
    }

    /// <summary>Namespace Attachment: attaches a namespace to a list of controllers, or detaches it.</summary>
    public static async Task<NvmeStatus> AttachAsync(Controller controller, Command command)
    {
        var (subsystem, entry) = (controller.Subsystem, command.Entry);
        if (subsystem.Manager is not { } manager)
        {
            return NvmeStatus.InvalidOpcode;
        }

        uint select = entry.Dword10 & 15;
        if (select is not (Attach or Detach))
        {
            return NvmeStatus.InvalidField;
        }

        if (command.Data.Length < IdentifyLists.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        await Task.Yield();
        if (!await TryBeginChangeAsync(subsystem, command))
        {
            return NvmeStatus.AbortRequested;
        }

        try
        {
            if (Find(controller, entry.NamespaceId, out var ns) is var status && ns is null)
            {
                return status;
            }

            var list = IdentifyLists.ReadControllers(command.Data.Span);
            return list.Length == 0 ? NvmeStatus.ControllerListInvalid
                : await SetAttachmentAsync(controller, manager, ns, list, select == Attach);
        }
        finally
        {
            subsystem.Changes.Release();
        }
    }

    /// <summary>Waits for other changes of the namespaces of a subsystem; the caller must release them.</summary>
    /// <returns>False when the queue of the command ended first.</returns>
    public static async Task<bool> TryBeginChangeAsync(NvmeSubsystem subsystem, Command command)
    {
        try
        {
            await subsystem.Changes.AcquireUntilAsync(command.WaitToken);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static async Task<NvmeStatus> CreateAsync(Controller controller, INamespaceManager manager, Command command)
    {
        var subsystem = controller.Subsystem;
        if (command.Data.Length < NamespaceTemplate.Size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        if (command.Entry.NamespaceId != 0)
        {
            return NvmeStatus.InvalidField;
        }

        var status = NamespaceTemplate.Read(command.Data.Span, (byte)(command.Entry.Dword11 >> 24), manager, out var request);
        if (request is null)
        {
            return status;
        }

        uint id = 1;
        while (subsystem.Find(id) is not null)
        {
            id++;
        }

        if (id > manager.MaxNamespaces)
        {
            return NvmeStatus.NamespaceIdentifierUnavailable;
        }

        if (request.Bytes > manager.FreeBytes)
        {
            command.ErrorInformation = (ulong)request.Bytes;
            return NvmeStatus.NamespaceInsufficientCapacity;
        }

        try
        {
            var ns = await manager.CreateAsync(request with { Id = id });
            subsystem.Add(ns, new HostAttachments(everyHost: false, []));
            subsystem.EventLog.AddChangeNamespace(controller.Id, command.Entry.Dword10, ns);
        }
        catch (BlockException e)
        {
            command.ErrorInformation = e.Error == BlockError.NoSpace ? (ulong)request.Bytes : 0;
            return e.Error switch
            {
                BlockError.NoSpace => NvmeStatus.NamespaceInsufficientCapacity,
                BlockError.InvalidArgument => NvmeStatus.InvalidField,
                _ => StatusMap.Of(e, writing: true),
            };
        }

        command.Result = id;
        return NvmeStatus.Success;
    }

    private static async Task<NvmeStatus> DeleteAsync(Controller controller, INamespaceManager manager, Command command)
    {
        uint id = command.Entry.NamespaceId;
        NvmeNamespace[] chosen;
        if (id == AllNamespaces)
        {
            chosen = [.. controller.Subsystem.Namespaces];
        }
        else if (Find(controller, id, out var ns) is var status && ns is null)
        {
            return status;
        }
        else
        {
            chosen = [ns];
        }

        // the images that the server was started with are not the host's to delete
        if (!Array.TrueForAll(chosen, manager.Owns))
        {
            return NvmeStatus.OperationDenied;
        }

        foreach (var ns in chosen)
        {
            if (await DeleteAsync(controller, manager, ns, command) is not NvmeStatus.Success and var status)
            {
                return status;
            }
        }

        return NvmeStatus.Success;
    }

    private static async Task<NvmeStatus> DeleteAsync(Controller controller, INamespaceManager manager, NvmeNamespace ns, Command command)
    {
        var subsystem = controller.Subsystem;
        if (subsystem.AttachmentsOf(ns) is not { } attachments || !ns.Closing.TryBegin(NvmeStatus.InvalidField))
        {
            return NvmeStatus.FormatInProgress;
        }

        try
        {
            var quiet = ns.Closing.QuietAsync(command.WaitToken);
            manager.GiveUpHeld(ns);
            await quiet;
        }
        catch (OperationCanceledException)
        {
            return NvmeStatus.AbortRequested;
        }

        try
        {
            await manager.DeleteAsync(ns);
            subsystem.Remove(ns);
        }
        catch (BlockException e)
        {
            ns.Closing.End();
            return StatusMap.Of(e, writing: true);
        }

        subsystem.EventLog.AddChangeNamespace(controller.Id, command.Entry.Dword10, ns);
        return NvmeStatus.Success;
    }

    private static async Task<NvmeStatus> SetAttachmentAsync(
        Controller controller, INamespaceManager manager, NvmeNamespace ns, ushort[] list, bool attach)
    {
        var subsystem = controller.Subsystem;
        var status = subsystem.SetAttachment(ns, list, attach, controller);
        if (status != NvmeStatus.Success || !manager.Owns(ns) || subsystem.AttachmentsOf(ns) is not { } attachments)
        {
            return status;
        }

        try
        {
            await manager.SaveAsync(ns, attachments);
            return NvmeStatus.Success;
        }
        catch (BlockException e)
        {
            // what could not be recorded would be gone after a restart
            subsystem.SetAttachment(ns, list, !attach, controller);
            return StatusMap.Of(e, writing: true);
        }
    }

    private static NvmeStatus Find(
        Controller controller, uint id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out NvmeNamespace? ns)
    {
        ns = controller.Subsystem.Find(id);
        return ns is not null ? NvmeStatus.Success : controller.RefusalOf(id);
    }
}
