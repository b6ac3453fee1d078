using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>
/// Answers Get Log Page (NVMe base 2.0, 5.16): dword 10 has LID in 7:0, RAE in bit 15 and NUMDL in 31:16, dword 11 NUMDU in 15:0,
/// dwords 12 and 13 the offset in bytes, dword 14 CSI in 31:24.
/// </summary>
internal static class LogPages
{
    /// <summary>The discovery log.</summary>
    public const byte Discovery = 0x70;

    private const byte Supported = 0x00, Errors = 0x01, Smart = 0x02, Firmware = 0x03, ChangedNamespaces = 0x04, Effects = 0x05,
        ChangedZones = 0xBF;

    private const uint KeepEvent = 1 << 15;

    /// <summary>Bytes that the command asks for.</summary>
    public static long LengthOf(in SubmissionEntry entry) => 4L * (((entry.Dword10 >> 16) | ((long)(entry.Dword11 & 0xFFFF) << 16)) + 1);

    /// <summary>Fills the part of a page that the command asks for.</summary>
    public static NvmeStatus Execute(Controller controller, in SubmissionEntry entry, Span<byte> to)
    {
        to.Clear();
        byte commandSet = (byte)(entry.Dword14 >> 24);
        byte[]? page = (byte)entry.Dword10 switch
        {
            Discovery when controller.IsDiscovery => controller.DiscoveryPage(),
            _ when controller.IsDiscovery => null,
            Supported => SupportedPages(),
            Errors => ErrorsOf(controller, (entry.Dword10 & KeepEvent) == 0),
            Smart => HealthOf(controller),
            Firmware => FirmwareOf(),
            ChangedNamespaces => controller.Events.TakeChangedNamespaces((entry.Dword10 & KeepEvent) == 0),
            Effects => EffectsOf(controller.Traits, commandSet),
            ChangedZones => controller.Subsystem.Find(entry.NamespaceId) is { Zones: not null } ns
                ? controller.Events.TakeChangedZones(ns, (entry.Dword10 & KeepEvent) == 0)
                : null,
            _ => null,
        };
        if (page is null)
        {
            return NvmeStatus.InvalidLogPage;
        }

        ulong offset = entry.Dword12 | ((ulong)entry.Dword13 << 32);
        if (offset > (ulong)page.Length || (offset & 3) != 0)
        {
            return NvmeStatus.InvalidField;
        }

        var rest = page.AsSpan((int)offset);
        rest[..Math.Min(rest.Length, to.Length)].CopyTo(to);
        return NvmeStatus.Success;
    }

    private static byte[] ErrorsOf(Controller controller, bool forget)
    {
        if (forget)
        {
            controller.Events.ErrorsRead();
        }

        return controller.Errors.ToPage();
    }

    private static byte[] SupportedPages()
    {
        var page = new byte[1024];
        foreach (byte id in new[] { Supported, Errors, Smart, Firmware, ChangedNamespaces, Effects, ChangedZones })
        {
            page[4 * id] = 1;
        }

        return page;
    }

    // SMART / health, 5.16.1.3: temperature at 1, spare at 3 and 4, units of 1000 x 512 bytes read at 32 and written at 48,
    // commands at 64 and 80, entries that the error log ever had at 176
    private static byte[] HealthOf(Controller controller)
    {
        var page = new byte[512];
        var f = new Fields(page);
        f.U16(1, 300);
        f.U8(3, 100);
        f.U8(4, 10);
        var totals = controller.Subsystem.Totals();
        f.U128(32, (UInt128)((totals.BytesRead + 511_999) / 512_000));
        f.U128(48, (UInt128)((totals.BytesWritten + 511_999) / 512_000));
        f.U128(64, (UInt128)totals.Reads);
        f.U128(80, (UInt128)totals.Writes);
        f.U128(176, controller.Errors.Count);
        return page;
    }

    // firmware slot information, 5.16.1.4: slot 1 is active and holds the revision at 8
    private static byte[] FirmwareOf()
    {
        var page = new byte[512];
        page[0] = 1;
        new Fields(page).Padded(8, 8, Controller.FirmwareRevision);
        return page;
    }

    // commands supported and effects, 5.16.1.6: four bytes for each admin code from 0 on, for each I/O code from 1024 on
    private static byte[] EffectsOf(ControllerTraits traits, byte commandSet)
    {
        const uint runs = 1, changesData = 2;
        var page = new byte[4096];
        var f = new Fields(page);
        foreach (byte code in new[]
        {
            AdminOpcode.GetLogPage, AdminOpcode.Identify, AdminOpcode.Abort, AdminOpcode.SetFeatures, AdminOpcode.GetFeatures,
            AdminOpcode.AsyncEventRequest,
        })
        {
            f.U32(4 * code, runs);
        }

        foreach (byte code in traits.AdminCommands)
        {
            f.U32(4 * code, runs);
        }

        foreach (byte code in new[] { Opcode.Flush, Opcode.Read, Opcode.Compare, Opcode.Verify })
        {
            f.U32(1024 + (4 * code), runs);
        }

        foreach (byte code in new[] { Opcode.Write, Opcode.WriteZeroes, Opcode.DatasetManagement })
        {
            f.U32(1024 + (4 * code), runs | changesData);
        }

        if (commandSet == IdentifyNamespace.ZonedCommandSet)
        {
            f.U32(1024 + (4 * Opcode.ZoneManagementReceive), runs);
            f.U32(1024 + (4 * Opcode.ZoneManagementSend), runs | changesData);
            f.U32(1024 + (4 * Opcode.ZoneAppend), runs | changesData);
        }

        return page;
    }
}
