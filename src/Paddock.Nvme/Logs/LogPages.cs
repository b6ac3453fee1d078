using Paddock.Nvme.Ana;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>
/// Answers Get Log Page (NVMe base 2.0, 5.16): dword 10 has LID in 7:0, LSP in 14:8, RAE in bit 15 and NUMDL in 31:16, dword 11 NUMDU in
/// 15:0, dwords 12 and 13 the offset in bytes, dword 14 CSI in 31:24.
/// </summary>
internal static class LogPages
{
    /// <summary>The discovery log.</summary>
    public const byte Discovery = 0x70;

    private const byte Supported = 0x00, Errors = 0x01, Smart = 0x02, Firmware = 0x03, ChangedNamespaces = 0x04, Effects = 0x05,
        HostTelemetry = 0x07, ControllerTelemetry = 0x08, PersistentEvents = 0x0D, BlockStatus = 0x0E, FeatureEffects = 0x12,
        ManagementEffects = 0x13, ChangedZones = 0xBF;

    private const uint KeepEvent = 1 << 15;

    private static readonly byte[] _all =
    [
        Supported, Errors, Smart, Firmware, ChangedNamespaces, Effects, HostTelemetry, ControllerTelemetry, PersistentEvents,
        BlockStatus, FeatureEffects, ManagementEffects, ChangedZones,
    ];

    /// <summary>Bytes that the command asks for.</summary>
    public static long LengthOf(in SubmissionEntry entry) => 4L * (((entry.Dword10 >> 16) | ((long)(entry.Dword11 & 0xFFFF) << 16)) + 1);

    /// <summary>Fills the part of a page that the command asks for.</summary>
    public static NvmeStatus Execute(Controller controller, in SubmissionEntry entry, Span<byte> to)
    {
        to.Clear();
        var status = Find(controller, entry, out var page);
        if (page is null)
        {
            return status;
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

    private static NvmeStatus Find(Controller controller, in SubmissionEntry entry, out byte[]? page)
    {
        byte specific = (byte)((entry.Dword10 >> 8) & 0x7F);
        bool forgets = (entry.Dword10 & KeepEvent) == 0;
        if ((byte)entry.Dword10 == PersistentEvents && !controller.IsDiscovery)
        {
            return controller.EventReport.Read(controller, specific, out page);
        }

        page = (byte)entry.Dword10 switch
        {
            Discovery when controller.IsDiscovery => controller.DiscoveryPage(),
            _ when controller.IsDiscovery => null,
            Supported => SupportedPages(controller),
            Errors => ErrorsOf(controller, forgets),
            Smart => SmartLog.Of(controller, forgets),
            Firmware => FirmwareOf(),
            ChangedNamespaces => controller.Events.TakeChangedNamespaces(forgets),
            Effects => EffectsLogs.Commands(controller, (byte)(entry.Dword14 >> 24)),
            HostTelemetry => controller.Subsystem.Telemetry.HostInitiated(controller, creates: (specific & 1) != 0),
            ControllerTelemetry => controller.Subsystem.Telemetry.ControllerInitiated(controller, forgets),
            AnaLog.Id when controller.Subsystem.ReportsAccess => AnaLog.Of(controller, (specific & AnaLog.GroupsOnly) != 0, forgets),
            BlockStatus => BlockStatusPage(),
            FeatureEffects => EffectsLogs.Features(controller),

            // there are no commands of the management interface
            ManagementEffects => new byte[4096],
            ChangedZones => controller.Find(entry.NamespaceId) is { Zones: not null } ns
                ? controller.Events.TakeChangedZones(ns, forgets) : null,
            _ => null,
        };
        return page is null ? NvmeStatus.InvalidLogPage : NvmeStatus.Success;
    }

    private static byte[] ErrorsOf(Controller controller, bool forgets)
    {
        if (forgets)
        {
            controller.Events.ErrorsRead();
        }

        return controller.Errors.ToPage();
    }

    // 4 bytes for each page: bit 0, supported; of the telemetry and event logs, in 31:16, what LSP may be
    private static byte[] SupportedPages(Controller controller)
    {
        const ushort establishesHeader = 1;
        var page = new byte[1024];
        foreach (byte id in _all)
        {
            page[4 * id] = 1;
        }

        page[4 * AnaLog.Id] = (byte)(controller.Subsystem.ReportsAccess ? 1 : 0);
        new Fields(page).U16((4 * PersistentEvents) + 2, establishesHeader);
        return page;
    }

    // LBA status information (NVM command set 1.1, 4.1.4.5), which Get LBA Status requires: the length of the page at 0, and no namespace
    // with blocks that a host should ask for. Unreadable blocks are those that hosts made so, and Get LBA Status lists them at any time
    private static byte[] BlockStatusPage()
    {
        var page = new byte[16];
        new Fields(page).U32(0, (uint)page.Length);
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
}
