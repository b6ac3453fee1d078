using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>
/// Commands Supported and Effects, log 05h, and Feature Identifiers Supported and Effects, log 12h (NVMe base 2.0, 5.16.1.6 and
/// 5.16.1.15): four bytes for each code. They are equal but for their first bits.
/// </summary>
/// <remarks>
/// <code>
/// bit 0  supported                    bit 4      changes the capabilities of the controller
/// bit 1  changes data                 18:16      runs without: 1, other commands of the namespace; 2, any other command
/// bit 2  changes a namespace          31:20      scope: bit 20 a namespace, 21 the controller, 25 the subsystem
/// bit 3  changes the set of namespaces
/// </code>
/// </remarks>
internal static class EffectsLogs
{
    private const uint Runs = 1, ChangesData = 1 << 1, ChangesNamespace = 1 << 2, ChangesSet = 1 << 3, AloneOnNamespace = 1 << 16;
    private const uint OfNamespace = 1 << 20, OfController = 1 << 21, OfSubsystem = 1 << 25;
    private const int IoCommands = 1024;

    /// <summary>Log 05h: admin commands from 0 on, I/O commands of a command set from 1024 on.</summary>
    public static byte[] Commands(Controller controller, byte commandSet)
    {
        var page = new byte[4096];
        var f = new Fields(page);
        foreach (var (code, effects) in AdminCommandsOf(controller))
        {
            f.U32(4 * code, effects);
        }

        foreach (byte code in (ReadOnlySpan<byte>)[Opcode.Flush, Opcode.Read, Opcode.Compare, Opcode.Verify])
        {
            f.U32(IoCommands + (4 * code), Runs | OfNamespace);
        }

        foreach (byte code in (ReadOnlySpan<byte>)[Opcode.Write, Opcode.WriteZeroes, Opcode.DatasetManagement])
        {
            f.U32(IoCommands + (4 * code), Runs | ChangesData | OfNamespace);
        }

        if (controller.Subsystem.AllowsCopy)
        {
            f.U32(IoCommands + (4 * Opcode.Copy), Runs | ChangesData | OfNamespace);
        }

        if (controller.Subsystem.OffersUncorrectable)
        {
            f.U32(IoCommands + (4 * Opcode.WriteUncorrectable), Runs | ChangesData | OfNamespace);
        }

        if (commandSet == IdentifyNamespace.ZonedCommandSet)
        {
            f.U32(IoCommands + (4 * Opcode.ZoneManagementReceive), Runs | OfNamespace);
            f.U32(IoCommands + (4 * Opcode.ZoneManagementSend), Runs | ChangesData | OfNamespace);
            f.U32(IoCommands + (4 * Opcode.ZoneAppend), Runs | ChangesData | OfNamespace);
        }

        return page;
    }

    /// <summary>Log 12h.</summary>
    public static byte[] Features(Controller controller)
    {
        var page = new byte[1024];
        var f = new Fields(page);
        foreach (byte id in Target.Features.IdentifiersOf(controller.Traits))
        {
            f.U32(4 * id, Runs | OfController);
        }

        return page;
    }

    private static List<(byte Code, uint Effects)> AdminCommandsOf(Controller controller)
    {
        List<(byte Code, uint Effects)> all =
        [
            (AdminOpcode.GetLogPage, Runs | OfController), (AdminOpcode.Identify, Runs | OfController),
            (AdminOpcode.GetLbaStatus, Runs | OfNamespace),
            (AdminOpcode.Abort, Runs | OfController), (AdminOpcode.SetFeatures, Runs | OfController),
            (AdminOpcode.GetFeatures, Runs | OfController), (AdminOpcode.AsyncEventRequest, Runs | OfController),
            .. controller.Traits.AdminCommands.Select(code => (code, Runs | OfController)),
        ];
        if (controller.Subsystem.Manager is not null)
        {
            all.Add((AdminOpcode.NamespaceManagement, Runs | ChangesData | ChangesSet | OfSubsystem));
            all.Add((AdminOpcode.NamespaceAttachment, Runs | ChangesSet | OfSubsystem));
        }

        if (controller.Subsystem.AllowsFormat)
        {
            all.Add((AdminOpcode.FormatNvm, Runs | ChangesData | ChangesNamespace | AloneOnNamespace | OfNamespace));
        }

        return all;
    }
}
