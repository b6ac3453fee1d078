using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>
/// Answers Identify (NVMe base 2.0, 5.17): dword 10 has CNS in 7:0 and CNTID in 31:16, dword 11 has CSI in 31:24 and an index in 15:0.
/// </summary>
internal static class IdentifyCommand
{
    private const uint AllNamespaces = 0xFFFFFFFF;

    /// <summary>Fills 4096 bytes.</summary>
    public static NvmeStatus Execute(Controller controller, in SubmissionEntry entry, Span<byte> to)
    {
        byte commandSet = (byte)(entry.Dword11 >> 24);
        ushort controllerId = (ushort)(entry.Dword10 >> 16);
        var subsystem = controller.Subsystem;
        to.Clear();
        switch (entry.Dword10 & 0xFF)
        {
            case 0x01:
                controller.Describe().WriteTo(to);
                return NvmeStatus.Success;
            case 0x02:
                return IdentifyLists.WriteNamespaces(controller.Attached.All, entry.NamespaceId, null, to);
            case 0x06:
                return CommandSetController(controller, commandSet, to);
            case 0x07:
                return IdentifyLists.WriteNamespaces(controller.Attached.All, entry.NamespaceId, commandSet, to);
            case 0x10 when subsystem.Manager is not null:
                return IdentifyLists.WriteNamespaces(subsystem.Namespaces, entry.NamespaceId, null, to);
            case 0x1A when subsystem.Manager is not null:
                return IdentifyLists.WriteNamespaces(subsystem.Namespaces, entry.NamespaceId, commandSet, to);
            case 0x12 when subsystem.Manager is not null:
                return AttachedControllers(subsystem, entry.NamespaceId, controllerId, to);
            case 0x13:
                IdentifyLists.WriteControllers(subsystem.Controllers().Select(c => c.Id), controllerId, to);
                return NvmeStatus.Success;
            case 0x16 when subsystem.Manager is { } manager:
                IdentifyLists.WriteGranularity(manager.SizeGranularity, to);
                return NvmeStatus.Success;
            case 0x17:
                // the list of UUIDs that select vendor specific meanings: there are none
                return NvmeStatus.Success;
            case 0x1C:
                // one combination: both command sets at once
                new Fields(to).U64(0, (1UL << IdentifyNamespace.NvmCommandSet) | (1UL << IdentifyNamespace.ZonedCommandSet));
                return NvmeStatus.Success;
            case 0x00 or 0x03 or 0x05 or 0x08:
                return OfAttached(controller, entry, commandSet, to);
            case 0x11 or 0x1B or 0x1F when subsystem.Manager is not null:
                return OfAllocated(controller, entry, commandSet, to);
            default:
                return NvmeStatus.InvalidField;
        }
    }

    private static NvmeStatus OfAttached(Controller controller, in SubmissionEntry entry, byte commandSet, Span<byte> to)
    {
        byte cns = (byte)entry.Dword10;
        if (entry.NamespaceId == AllNamespaces && cns is 0x00 or 0x05)
        {
            return Common(controller.Subsystem, cns, commandSet, to);
        }

        if (entry.NamespaceId is 0 or AllNamespaces || entry.NamespaceId > controller.Subsystem.NamespaceLimit)
        {
            return NvmeStatus.InvalidNamespace;
        }

        // an inactive namespace is all zeroes, but has no descriptors
        return controller.Find(entry.NamespaceId) is { } ns ? OfNamespace(controller, cns, ns, commandSet, to)
            : cns == 0x03 ? NvmeStatus.InvalidField : NvmeStatus.Success;
    }

    // the same structures of namespaces that need not be attached
    private static NvmeStatus OfAllocated(Controller controller, in SubmissionEntry entry, byte commandSet, Span<byte> to)
    {
        if (entry.NamespaceId is 0 or AllNamespaces || entry.NamespaceId > controller.Subsystem.NamespaceLimit)
        {
            return NvmeStatus.InvalidNamespace;
        }

        byte cns = (byte)entry.Dword10 switch
        {
            0x11 => 0x00,
            0x1B => 0x05,
            _ => 0x08,
        };
        return controller.Subsystem.Find(entry.NamespaceId) is { } ns ? OfNamespace(controller, cns, ns, commandSet, to)
            : NvmeStatus.Success;
    }

    private static NvmeStatus OfNamespace(Controller controller, byte cns, NvmeNamespace ns, byte commandSet, Span<byte> to)
    {
        switch (cns)
        {
            case 0x00:
                IdentifyNamespace.WriteNvm(to, ns, controller.Subsystem.Shared, controller.Subsystem.AllowsCopy);
                return NvmeStatus.Success;
            case 0x03:
                IdentifyNamespace.WriteDescriptors(to, ns);
                return NvmeStatus.Success;
            case 0x08:
                IdentifyNamespace.WriteIndependent(to, ns, controller.Subsystem.Shared);
                return NvmeStatus.Success;
            default:
                if (commandSet == IdentifyNamespace.ZonedCommandSet && ns.Zones is not null)
                {
                    IdentifyNamespace.WriteZoned(to, ns);
                    return NvmeStatus.Success;
                }

                // the structure of the NVM command set is all zeroes: no protection information
                return commandSet == IdentifyNamespace.NvmCommandSet ? NvmeStatus.Success : NvmeStatus.InvalidField;
        }
    }

    // what all namespaces have in common: the block formats, if new namespaces may choose one
    private static NvmeStatus Common(NvmeSubsystem subsystem, byte cns, byte commandSet, Span<byte> to)
    {
        if (cns == 0x00)
        {
            if (subsystem.Manager is not null)
            {
                LbaFormats.WriteAll(to);
            }

            return NvmeStatus.Success;
        }

        if (commandSet == IdentifyNamespace.ZonedCommandSet && subsystem.Manager is { ZoneSize: > 0 and var zoneSize })
        {
            bool hasAreas = subsystem.Manager.RandomArea.Size > 0;
            new Fields(to).U16(2, hasAreas ? RandomAreaFields.Supported : (ushort)0);
            LbaFormats.WriteZoned(to, zoneSize, extensionBytes: 0);
            return NvmeStatus.Success;
        }

        return commandSet == IdentifyNamespace.NvmCommandSet ? NvmeStatus.Success : NvmeStatus.InvalidField;
    }

    private static NvmeStatus CommandSetController(Controller controller, byte commandSet, Span<byte> to)
    {
        switch (commandSet)
        {
            case IdentifyNamespace.NvmCommandSet:
                // VSL and WZSL: no limit of their own; DMRL: ranges of one dataset management
                to[3] = 0;
                return NvmeStatus.Success;
            case IdentifyNamespace.ZonedCommandSet:
                to[0] = (byte)int.Log2(controller.Subsystem.MaxAppend(controller.MaxTransfer) / 4096);
                return NvmeStatus.Success;
            default:
                return NvmeStatus.InvalidField;
        }
    }

    private static NvmeStatus AttachedControllers(NvmeSubsystem subsystem, uint namespaceId, ushort from, Span<byte> to)
    {
        if (namespaceId is 0 or AllNamespaces || namespaceId > subsystem.NamespaceLimit)
        {
            return NvmeStatus.InvalidNamespace;
        }

        if (subsystem.Find(namespaceId) is not { } ns)
        {
            return NvmeStatus.InvalidField;
        }

        IdentifyLists.WriteControllers(subsystem.ControllersOf(ns).Select(c => c.Id), from, to);
        return NvmeStatus.Success;
    }
}
