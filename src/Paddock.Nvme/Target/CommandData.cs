using Paddock.Nvme.Identify;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>
/// How much data a command moves, by its own fields: where data are described by PRPs nothing else tells. A command that is added here has
/// its data on a PCI bus, too.
/// </summary>
internal static class CommandData
{
    private const byte Timestamp = 0x0E, HostBehavior = 0x16;
    private const uint SelectSupported = 3;
    private const byte SendExtension = 0x10;

    /// <summary>Bytes of data; may exceed every limit. 0 for a command that is not known.</summary>
    public static long LengthOf(Controller controller, bool isAdmin, in SubmissionEntry entry)
        => entry.Direction is 0 or 3 ? 0 : isAdmin ? OfAdmin(entry) : OfIo(controller, entry);

    private static long OfAdmin(in SubmissionEntry entry) => entry.Opcode switch
    {
        AdminOpcode.Identify => IdentifyController.Size,
        AdminOpcode.GetLogPage => LogPages.LengthOf(entry),

        // the capabilities of a feature are in the completion
        AdminOpcode.GetFeatures when (entry.Dword10 >> 8 & 7) == SelectSupported => 0,
        AdminOpcode.NamespaceManagement when (entry.Dword10 & 15) == 0 => IdentifyController.Size,
        AdminOpcode.GetLbaStatus => BlockStatusCommand.LengthOf(entry),
        AdminOpcode.NamespaceAttachment => IdentifyController.Size,
        AdminOpcode.SetFeatures or AdminOpcode.GetFeatures => (byte)entry.Dword10 switch
        {
            Timestamp => 8,
            HostBehavior => 512,
            _ => 0,
        },
        _ => 0,
    };

    private static long OfIo(Controller controller, in SubmissionEntry entry)
    {
        if (entry.Opcode == Opcode.DatasetManagement)
        {
            return 16 * ((long)(byte)entry.Dword10 + 1);
        }

        if (entry.Opcode == Opcode.Copy)
        {
            return CopyCommands.DataLengthOf(entry);
        }

        if (controller.Find(entry.NamespaceId) is not { } ns)
        {
            return 0;
        }

        return entry.Opcode switch
        {
            Opcode.Read or Opcode.Write or Opcode.Compare or Opcode.ZoneAppend => (long)entry.BlockCount << ns.BlockShift,
            Opcode.ZoneManagementReceive => 4 * ((long)entry.Dword12 + 1),
            Opcode.ZoneManagementSend when (byte)entry.Dword13 == SendExtension => ns.ExtensionBytes,
            _ => 0,
        };
    }
}
