using System.Buffers.Binary;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>Answers Identify (NVMe base 2.0, 5.17): dword 10 has CNS in 7:0 and CNTID in 31:16, dword 11 has CSI in 31:24.</summary>
internal static class IdentifyCommand
{
    private const uint AllNamespaces = 0xFFFFFFFF;
    private const int MaxListed = 1024;

    /// <summary>Fills 4096 bytes.</summary>
    public static NvmeStatus Execute(Controller controller, in SubmissionEntry entry, Span<byte> to)
    {
        byte commandSet = (byte)(entry.Dword11 >> 24);
        to.Clear();
        switch (entry.Dword10 & 0xFF)
        {
            case 0x01:
                controller.Describe().WriteTo(to);
                return NvmeStatus.Success;
            case 0x02:
                return List(controller, entry.NamespaceId, null, to);
            case 0x07:
                return List(controller, entry.NamespaceId, commandSet, to);
            case 0x06:
                return CommandSetController(controller, commandSet, to);
            case 0x1C:
                // one combination: both command sets at once
                BinaryPrimitives.WriteUInt64LittleEndian(
                    to, (1UL << IdentifyNamespace.NvmCommandSet) | (1UL << IdentifyNamespace.ZonedCommandSet));
                return NvmeStatus.Success;
            case 0x00 or 0x03 or 0x05 or 0x08:
                return OfNamespace(controller, entry, commandSet, to);
            default:
                return NvmeStatus.InvalidField;
        }
    }

    private static NvmeStatus OfNamespace(Controller controller, in SubmissionEntry entry, byte commandSet, Span<byte> to)
    {
        uint cns = entry.Dword10 & 0xFF;
        if (entry.NamespaceId == AllNamespaces && cns == 0x00)
        {
            // what all namespaces have in common: one block format
            return NvmeStatus.Success;
        }

        if (entry.NamespaceId is 0 or AllNamespaces || entry.NamespaceId > controller.Subsystem.MaxNamespaceId)
        {
            return NvmeStatus.InvalidNamespace;
        }

        if (controller.Subsystem.Find(entry.NamespaceId) is not { } ns)
        {
            // an inactive namespace is all zeroes, but has no descriptors
            return cns == 0x03 ? NvmeStatus.InvalidField : NvmeStatus.Success;
        }

        switch (cns)
        {
            case 0x00:
                IdentifyNamespace.WriteNvm(to, ns, controller.Subsystem.Shared);
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

    private static NvmeStatus List(Controller controller, uint after, byte? commandSet, Span<byte> to)
    {
        if (after >= 0xFFFFFFFE)
        {
            return NvmeStatus.InvalidNamespace;
        }

        int at = 0;
        foreach (var ns in controller.Subsystem.Namespaces)
        {
            if (ns.Id > after && (commandSet is null || ns.CommandSet == commandSet) && at < MaxListed)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(to[(4 * at++)..], ns.Id);
            }
        }

        return NvmeStatus.Success;
    }
}
