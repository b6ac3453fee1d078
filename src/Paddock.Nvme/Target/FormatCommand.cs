using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Format NVM (NVMe base 2.0, 5.14): dword 10 has the block format in 3:0 and 13:12, MSET in 4, PI in 7:5, PIL in 8 and SES in 11:9. With
/// any SES, every block reads as zeroes afterwards and its space is freed; every zone that can be reset is empty.
/// </summary>
internal static class FormatCommand
{
    /// <summary>
    /// FNA of Identify Controller: formats and erases apply to one namespace or, with NSID FFFFFFFFh, to all; no cryptographic erase.
    /// </summary>
    public const byte Attributes = 0;

    private const uint AllNamespaces = 0xFFFFFFFF, EraseUserData = 1;
    private const long Piece = 64 << 20;
    private const int ZoneBatch = 256;

    private const ZoneConditionSet Resettable
        = ZoneConditionSet.Open | ZoneConditionSet.Closed | ZoneConditionSet.Full;

    /// <summary>Runs the command.</summary>
    public static async Task<NvmeStatus> RunAsync(Controller controller, Command command)
    {
        var (subsystem, entry) = (controller.Subsystem, command.Entry);
        if (!subsystem.AllowsFormat)
        {
            return NvmeStatus.InvalidOpcode;
        }

        uint format = (entry.Dword10 & 15) | (entry.Dword10 >> 12 & 3) << 4;
        if ((entry.Dword10 >> 9 & 7) > EraseUserData)
        {
            return NvmeStatus.InvalidField;
        }

        await Task.Yield();
        if (!await NamespaceCommands.TryBeginChangeAsync(subsystem, command))
        {
            return NvmeStatus.AbortRequested;
        }

        try
        {
            if (entry.NamespaceId == AllNamespaces)
            {
                NvmeNamespace[] all = [.. controller.Attached.All];
                return await FormatAsync(controller, command, all, (int)format);
            }

            return controller.Find(entry.NamespaceId) is { } ns ? await FormatAsync(controller, command, [ns], (int)format)
                : controller.RefusalOf(entry.NamespaceId);
        }
        finally
        {
            subsystem.Changes.Release();
        }
    }

    private static async Task<NvmeStatus> FormatAsync(Controller controller, Command command, NvmeNamespace[] chosen, int format)
    {
        const uint protection = 0x1E0;
        if (LbaFormats.ShiftOf(format) is not { } shift || (command.Entry.Dword10 & protection) != 0)
        {
            return NvmeStatus.InvalidFormat;
        }

        foreach (var ns in chosen)
        {
            // without a choice, the only format is the first
            if (ns.CanChangeFormat ? !Fits(ns, shift) : format != 0)
            {
                return NvmeStatus.InvalidFormat;
            }

            if (ns.Device.IsReadOnly)
            {
                return NvmeStatus.NamespaceWriteProtected;
            }
        }

        foreach (var ns in chosen)
        {
            int blockShift = ns.CanChangeFormat ? shift : ns.BlockShift;
            var status = await FormatAsync(controller, command, ns, blockShift);
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        return NvmeStatus.Success;
    }

    // zones, and what is written in them at once, must be whole blocks
    private static bool Fits(NvmeNamespace ns, int shift) => ns.Device.Length % (1L << shift) == 0
        && (ns.Zones is not { Limits: var limits } || (limits.ZoneCapacity % (1L << shift) == 0
            && RandomAreaFields.Problem(limits.RandomArea, 1 << shift) is null));

    private static async Task<NvmeStatus> FormatAsync(Controller controller, Command command, NvmeNamespace ns, int blockShift)
    {
        var subsystem = controller.Subsystem;
        if (!ns.Closing.TryBegin(NvmeStatus.FormatInProgress))
        {
            return NvmeStatus.FormatInProgress;
        }

        subsystem.EventLog.AddFormatStart(controller.Id, ns.Id, Attributes, command.Entry.Dword10);
        ns.FormatPercentLeft = 100;
        var status = NvmeStatus.AbortRequested;
        try
        {
            await ns.Closing.QuietAsync(command.WaitToken);
            status = await EraseAsync(subsystem, ns, command, blockShift);
        }
        catch (OperationCanceledException)
        {
            // the controller was reset before the format could begin
        }

        subsystem.EventLog.AddFormatCompletion(controller.Id, ns.Id, ns.FormatPercentLeft, status);
        ns.FormatPercentLeft = 0;
        subsystem.TellChanged(ns, controller);
        return status;
    }

    private static async Task<NvmeStatus> EraseAsync(NvmeSubsystem subsystem, NvmeNamespace ns, Command command, int blockShift)
    {
        try
        {
            return await command.LongWork.RunAsync(turn => EraseAsync(subsystem, ns, blockShift, turn));
        }
        catch (BlockException e)
        {
            return StatusMap.Of(e, writing: true);
        }
        finally
        {
            ns.Closing.End();
        }
    }

    private static async Task<NvmeStatus> EraseAsync(NvmeSubsystem subsystem, NvmeNamespace ns, int blockShift, LongTurn turn)
    {
        await (ns.Zones is { } zones ? ResetAsync(ns, zones, turn) : ZeroAsync(ns, turn));
        await ns.Device.FlushAsync();
        if (blockShift != ns.BlockShift)
        {
            await ChangeBlocksAsync(subsystem, ns, blockShift);
        }

        ns.FormatPercentLeft = 0;
        return NvmeStatus.Success;
    }

    // a size that could not be recorded is not used: a restarted server would have the previous one
    private static async Task ChangeBlocksAsync(NvmeSubsystem subsystem, NvmeNamespace ns, int blockShift)
    {
        int previous = ns.BlockShift;
        ns.SetBlockShift(blockShift);
        if (subsystem.Manager is not { } manager || subsystem.AttachmentsOf(ns) is not { } attachments)
        {
            return;
        }

        try
        {
            await manager.SaveAsync(ns, attachments);
        }
        catch (BlockException)
        {
            ns.SetBlockShift(previous);
            throw;
        }
    }

    private static async Task ZeroAsync(NvmeNamespace ns, LongTurn turn)
    {
        long length = ns.Device.Length;
        for (long done = 0, piece; done < length; done += piece)
        {
            ns.FormatPercentLeft = PercentLeft(done, length);
            piece = Math.Min(Piece, length - done);
            await ns.Device.WriteZeroesAsync(done, piece, ZeroFlags.MayUnmap);
            await turn.NextAsync();
        }
    }

    // read-only and offline zones are the medium's failures: no format repairs them
    private static async Task ResetAsync(NvmeNamespace ns, IZones zones, LongTurn turn)
    {
        var batch = new ZoneDescriptor[ZoneBatch];
        for (long offset = 0; offset < ns.Device.Length;)
        {
            ns.FormatPercentLeft = PercentLeft(offset, ns.Device.Length);
            var found = await zones.FindAsync(offset, Resettable, batch, count: false);
            if (found.Filled == 0)
            {
                return;
            }

            foreach (var zone in batch[..found.Filled])
            {
                await zones.ManageAsync(ZoneAction.Reset, zone.Start, zone.Length);
                offset = zone.Start + zone.Length;
            }

            await turn.NextAsync();
        }
    }

    // 0 would mean that no format runs
    private static byte PercentLeft(long done, long length) => (byte)Math.Clamp(100 - (done / Math.Max(1, length / 100)), 1, 100);
}
