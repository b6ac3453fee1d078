using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>The commands of the zoned namespace command set (ZNS command set 1.2, 3.4).</summary>
internal static class ZoneCommands
{
    private const byte SendClose = 1, SendFinish = 2, SendOpen = 3, SendReset = 4, SendOffline = 5, SendExtension = 0x10,
        SendCommit = 0x11;
    private const uint SelectAll = 1 << 8, AllocateArea = 1 << 9, Partial = 1 << 16;
    private const int Batch = 512, ResetsAtOnce = 16;

    /// <summary>Zone Append: data goes to the pointer of the zone in dwords 10 and 11; the result is the first block written.</summary>
    public static ValueTask<NvmeStatus> AppendAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        var status = IoCommands.CheckTransfer(ns, command, out long start);
        if (status != NvmeStatus.Success)
        {
            return new(status);
        }

        if (command.Data.Length > controller.Subsystem.MaxAppend(controller.MaxTransfer))
        {
            return new(NvmeStatus.InvalidField);
        }

        var appending = ns.Zones!.AppendAsync(start, command.Data, cancellationToken: ns.TokenOf(command));
        if (!appending.IsCompletedSuccessfully || IoCommands.MustSettle(controller, command))
        {
            return EndAppendAsync(controller, ns, command, appending);
        }

        command.Result = (ulong)(appending.Result >> ns.BlockShift);
        return new(NvmeStatus.Success);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> EndAppendAsync(
        Controller controller, NvmeNamespace ns, Command command, ValueTask<long> appending)
    {
        command.Result = (ulong)(await appending >> ns.BlockShift);
        await IoCommands.SettleAsync(controller, ns, command);
        return NvmeStatus.Success;
    }

    /// <summary>
    /// Zone Management Send: dword 13 has the action in 7:0, "all zones" in bit 8, and in bit 9, for an open or an extension, whether the
    /// zone gets a random write area (ZRWAA).
    /// </summary>
    public static async ValueTask<NvmeStatus> SendAsync(NvmeNamespace ns, Command command)
    {
        var entry = command.Entry;
        byte code = (byte)entry.Dword13;
        bool all = (entry.Dword13 & SelectAll) != 0;
        bool allocates = (entry.Dword13 & AllocateArea) != 0 && code is SendOpen or SendExtension;
        if (code == SendCommit)
        {
            return all ? NvmeStatus.InvalidField : await CommitAsync(ns, command);
        }

        if (allocates && (all || ns.Zones!.Limits.RandomArea.Size == 0))
        {
            return all ? NvmeStatus.InvalidField : NvmeStatus.InvalidZoneOperation;
        }

        var status = all ? NvmeStatus.Success : CheckZone(ns, entry);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        long start = all ? 0 : (long)(entry.StartingLba << ns.BlockShift);
        switch (code)
        {
            case SendExtension:
                return all ? NvmeStatus.InvalidField : await ExtendAsync(ns, (int)(start / ns.Zones!.Limits.ZoneSize), allocates, command);
            case SendOpen or SendClose or SendFinish or SendReset or SendOffline:
                return all ? await command.LongWork.RunAsync(turn => ManageAllAsync(ns, code, command, turn))
                    : await ManageOneAsync(ns, code, start, command, allocates);
            default:
                return NvmeStatus.InvalidField;
        }
    }

    /// <summary>
    /// Zone Management Receive: a report (dword 13: ZRA in 7:0, which zones in 15:8, partial in bit 16; dword 12: dwords, 0's based).
    /// </summary>
    public static async ValueTask<NvmeStatus> ReceiveAsync(NvmeNamespace ns, Command command)
    {
        var entry = command.Entry;
        byte action = (byte)entry.Dword13, wanted = (byte)(entry.Dword13 >> 8);
        bool extended = action == 1;
        if (action > 1 || wanted > ZoneReport.LastSelector || (extended && ns.ExtensionBytes == 0))
        {
            return NvmeStatus.InvalidField;
        }

        if (entry.StartingLba >= ns.Blocks)
        {
            return NvmeStatus.LbaOutOfRange;
        }

        long asked = 4 * ((long)entry.Dword12 + 1);
        if (command.Data.Length < asked)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        var page = command.Data[..(int)asked];
        page.Span.Clear();
        command.Written = page.Length;
        await ReportAsync(ns, command, page, extended ? ns.ExtensionBytes : 0, wanted);
        return NvmeStatus.Success;
    }

    // the number of zones counts what was asked for, or, in a partial report, what fitted
    private static async ValueTask ReportAsync(NvmeNamespace ns, Command command, Memory<byte> page, int extension, byte wanted)
    {
        var entry = command.Entry;
        var which = ZoneReport.Selected(wanted);
        var zones = System.Buffers.ArrayPool<ZoneDescriptor>.Shared.Rent(Batch);
        try
        {
            int size = ZoneReport.DescriptorSize + extension;
            int room = Math.Max(0, (page.Length - ZoneReport.HeaderSize) / size);
            bool counts = (entry.Dword13 & Partial) == 0;
            long offset = (long)(entry.StartingLba << ns.BlockShift);
            int written = 0, matching = 0;
            while (offset < ns.Device.Length && (counts || written < room))
            {
                var found = await ns.Zones!.FindAsync(
                    offset, which, zones.AsMemory(0, Math.Min(Batch, room - written)), counts, ns.TokenOf(command));
                matching = counts ? found.Matching : matching;
                counts = false;
                if (found.Filled == 0)
                {
                    break;
                }

                for (int i = 0; i < found.Filled; i++)
                {
                    await WriteZoneAsync(ns, zones[i], page.Slice(ZoneReport.HeaderSize + (written++ * size), size));
                }

                offset = zones[found.Filled - 1].Start + zones[found.Filled - 1].Length;
            }

            if (page.Length >= ZoneReport.HeaderSize)
            {
                ZoneReport.WriteHeader(page.Span, (ulong)Math.Max(written, matching));
            }
        }
        finally
        {
            System.Buffers.ArrayPool<ZoneDescriptor>.Shared.Return(zones);
        }
    }

    private static async ValueTask WriteZoneAsync(NvmeNamespace ns, ZoneDescriptor zone, Memory<byte> to)
    {
        int index = (int)(zone.Start / ns.Zones!.Limits.ZoneSize);
        bool extends = to.Length > ZoneReport.DescriptorSize
            ? await ns.Zones.Attributes!.ReadExtensionAsync(index, to[ZoneReport.DescriptorSize..])
            : ns.Zones.Attributes?.HasExtension(index) == true;
        ZoneReport.Write(to.Span, zone, ns.BlockShift, extends);
    }

    // the command names the last block to be committed
    private static async ValueTask<NvmeStatus> CommitAsync(NvmeNamespace ns, Command command)
    {
        ulong last = command.Entry.StartingLba;
        if (last >= ns.Blocks)
        {
            return NvmeStatus.LbaOutOfRange;
        }

        await ns.Zones!.CommitAsync((long)((last + 1) << ns.BlockShift), ns.TokenOf(command));
        return NvmeStatus.Success;
    }

    private static NvmeStatus CheckZone(NvmeNamespace ns, in SubmissionEntry entry)
        => entry.StartingLba >= ns.Blocks ? NvmeStatus.LbaOutOfRange
            : (long)(entry.StartingLba << ns.BlockShift) % ns.Zones!.Limits.ZoneSize != 0 ? NvmeStatus.InvalidField
            : NvmeStatus.Success;

    private static async ValueTask<NvmeStatus> ExtendAsync(NvmeNamespace ns, int zone, bool allocates, Command command)
    {
        if (ns.ExtensionBytes == 0 || command.Data.Length < ns.ExtensionBytes)
        {
            return ns.ExtensionBytes == 0 ? NvmeStatus.InvalidField : NvmeStatus.SglLengthInvalid;
        }

        await ns.Zones!.Attributes!.WriteExtensionAsync(zone, command.Data[..ns.ExtensionBytes], allocates);
        return NvmeStatus.Success;
    }

    private static async ValueTask<NvmeStatus> ManageOneAsync(
        NvmeNamespace ns, byte code, long start, Command command, bool allocates = false)
    {
        var one = new ZoneDescriptor[1];
        await ns.Zones!.ReportAsync(start, one, ns.TokenOf(command));
        var condition = one[0].Condition;
        if (code == SendOffline)
        {
            return await TakeOfflineAsync(ns, one[0]);
        }

        // the engine reports success without a change; the command set has a status for it (figure 33)
        if (code == SendClose && condition is (ZoneCondition.Empty or ZoneCondition.Full))
        {
            return NvmeStatus.InvalidZoneStateTransition;
        }

        await ns.Zones.ManageAsync(allocates ? ZoneAction.OpenWithRandomArea : ActionOf(code), start, one[0].Length, ns.TokenOf(command));
        if (code == SendReset)
        {
            ns.ZoneTraffic.CountReset((int)(start / ns.Zones.Limits.ZoneSize));
        }

        return NvmeStatus.Success;
    }

    // each zone that the action is for; the others are passed over (3.4.3.1)
    private static async Task<NvmeStatus> ManageAllAsync(NvmeNamespace ns, byte code, Command command, LongTurn turn)
    {
        var zoned = ns.Zones!;
        var zones = new ZoneDescriptor[Batch];
        long offset = 0;
        while (offset < ns.Device.Length)
        {
            var found = await zoned.FindAsync(offset, ConcernedBy(code), zones, count: false, ns.TokenOf(command));
            if (found.Filled == 0)
            {
                break;
            }

            for (int i = 0, run; i < found.Filled; i += run)
            {
                run = code == SendReset ? RunAt(zones.AsSpan(i, found.Filled - i)) : 1;
                var status = run > 1 ? await ResetRunAsync(ns, zones.AsMemory(i, run), command)
                    : await ManageOneAsync(ns, code, zones[i].Start, command);
                if (status != NvmeStatus.Success)
                {
                    return status;
                }

                offset = zones[i + run - 1].Start + zones[i + run - 1].Length;
                await turn.NextAsync();
            }
        }

        return NvmeStatus.Success;
    }

    // adjacent zones are reset together: each reset waits for the medium
    private static int RunAt(ReadOnlySpan<ZoneDescriptor> zones)
    {
        int run = 1;
        while (run < zones.Length && run < ResetsAtOnce && zones[run].Start == zones[run - 1].Start + zones[run - 1].Length)
        {
            run++;
        }

        return run;
    }

    private static async ValueTask<NvmeStatus> ResetRunAsync(NvmeNamespace ns, ReadOnlyMemory<ZoneDescriptor> zones, Command command)
    {
        long start = zones.Span[0].Start, end = zones.Span[^1].Start + zones.Span[^1].Length;
        await ns.Zones!.ManageAsync(ZoneAction.Reset, start, end - start, ns.TokenOf(command));
        for (int i = 0; i < zones.Length; i++)
        {
            ns.ZoneTraffic.CountReset((int)(zones.Span[i].Start / ns.Zones.Limits.ZoneSize));
        }

        return NvmeStatus.Success;
    }

    private static ZoneConditionSet ConcernedBy(byte code) => code switch
    {
        SendOpen => ZoneConditionSet.Closed,
        SendClose => ZoneConditionSet.Open,
        SendFinish => ZoneConditionSet.Open | ZoneConditionSet.Closed,
        SendReset => ZoneConditionSet.Open | ZoneConditionSet.Closed | ZoneConditionSet.Full,
        _ => ZoneConditionSet.ReadOnly,
    };

    private static async ValueTask<NvmeStatus> TakeOfflineAsync(NvmeNamespace ns, ZoneDescriptor zone)
    {
        if (zone.Condition == ZoneCondition.Offline)
        {
            return NvmeStatus.Success;
        }

        if (zone.Condition != ZoneCondition.ReadOnly || ns.Zones!.Attributes is not { } attributes)
        {
            return NvmeStatus.InvalidZoneStateTransition;
        }

        await attributes.SetConditionAsync((int)(zone.Start / ns.Zones.Limits.ZoneSize), ZoneCondition.Offline);
        return NvmeStatus.Success;
    }

    private static ZoneAction ActionOf(byte code) => code switch
    {
        SendOpen => ZoneAction.Open,
        SendClose => ZoneAction.Close,
        SendFinish => ZoneAction.Finish,
        _ => ZoneAction.Reset,
    };
}
