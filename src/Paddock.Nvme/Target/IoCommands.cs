using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>Runs the commands of an I/O queue (NVM command set 1.0, 3).</summary>
internal static class IoCommands
{
    private const uint AllNamespaces = 0xFFFFFFFF;

    /// <summary>Whether the command may take longer than reads and writes: it must not block other commands of the queue.</summary>
    /// <remarks>Write Zeroes on a zone moves its pointer, so it stays in order.</remarks>
    public static bool IsSlow(in SubmissionEntry entry) => entry.Opcode is Opcode.Flush or Opcode.Compare or Opcode.Verify
        or Opcode.DatasetManagement or Opcode.Copy or Opcode.WriteUncorrectable
        or Opcode.ZoneManagementSend or Opcode.ZoneManagementReceive;

    /// <summary>Kind of a command in the statistics.</summary>
    public static ServedOperation OperationOf(byte opcode) => opcode switch
    {
        Opcode.Read => ServedOperation.Read,
        Opcode.Write or Opcode.Copy => ServedOperation.Write,
        Opcode.ZoneAppend => ServedOperation.Append,
        Opcode.Flush => ServedOperation.Flush,
        Opcode.ZoneManagementSend or Opcode.ZoneManagementReceive => ServedOperation.Zone,
        Opcode.DatasetManagement => ServedOperation.Trim,
        Opcode.WriteZeroes => ServedOperation.Zeroes,
        _ => ServedOperation.Other,
    };

    /// <summary>Runs a command whose data has been received or is to be filled.</summary>
    public static ValueTask<NvmeStatus> ExecuteAsync(Controller controller, Command command)
    {
        ref readonly var entry = ref command.Entry;
        if (entry.Opcode == Opcode.Flush && entry.NamespaceId == AllNamespaces)
        {
            return FlushAllAsync(controller, command);
        }

        if (controller.Find(entry.NamespaceId) is not { } ns)
        {
            return new(controller.RefusalOf(entry.NamespaceId));
        }

        if (ns.AccessRefusal is not NvmeStatus.Success and var refusal)
        {
            return new(refusal);
        }

        int ticket = ns.Closing.TryEnter();
        if (ticket < 0)
        {
            return new(ns.Closing.Refusal);
        }

        ValueTask<NvmeStatus> running;
        try
        {
            running = RunAsync(controller, ns, command);
        }
        catch (Exception e)
        {
            running = ValueTask.FromException<NvmeStatus>(e);
        }

        // most commands end at once, and need no state machine
        if (!running.IsCompletedSuccessfully)
        {
            return EndAsync(controller, ns, command, running, ticket);
        }

        var status = running.Result;
        Ended(controller, ns, command, status);
        ns.Closing.Leave(ticket);
        return new(status);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> EndAsync(
        Controller controller, NvmeNamespace ns, Command command, ValueTask<NvmeStatus> running, int ticket)
    {
        try
        {
            var status = await running;
            Ended(controller, ns, command, status);
            return status;
        }
        catch (BlockException e)
        {
            ns.Statistics.CountError();
            byte opcode = command.Entry.Opcode;
            bool writing = opcode is not (Opcode.Read or Opcode.Compare or Opcode.Verify or Opcode.ZoneManagementReceive);
            var status = command.IsAborted && e.Error == BlockError.Cancelled ? NvmeStatus.AbortRequested
                : e.Error == BlockError.NotOwner && MayHaveRun(controller, ns, command) ? NvmeStatus.InternalPathError
                : StatusMap.Of(e, writing);
            if (status is NvmeStatus.WriteFault or NvmeStatus.UnrecoveredReadError)
            {
                controller.Subsystem.Health.CountMediaError();
                controller.Subsystem.Telemetry.RecordMediaError();
            }

            return status;
        }
        catch (ObjectDisposedException)
        {
            ns.Statistics.CountError();
            return NvmeStatus.NamespaceNotReady;
        }
        finally
        {
            ns.Closing.Leave(ticket);
        }
    }

    // whether a disk may have been lost after it had executed the command in a zone, where it cannot be repeated: an append, a part of a
    // copy, or a write that was to be durable. The status of the state would tell the host that it was not executed
    private static bool MayHaveRun(Controller controller, NvmeNamespace ns, Command command) => command.Entry.Opcode switch
    {
        Opcode.ZoneAppend => true,
        Opcode.Copy => ns.Zones is not null,
        Opcode.Write or Opcode.WriteZeroes => ns.Zones is not null && MustSettle(controller, command),
        _ => false,
    };

    private static void Ended(Controller controller, NvmeNamespace ns, Command command, NvmeStatus status)
    {
        Count(ns, command, status);
        command.EndedAt = Stopwatch.GetTimestamp();
        controller.Subsystem.Health.CountBusy(command.StartedAt, command.EndedAt);
    }

    private static ValueTask<NvmeStatus> RunAsync(Controller controller, NvmeNamespace ns, Command command) => command.Entry.Opcode switch
    {
        Opcode.Read => ReadAsync(ns, command),
        Opcode.Write => WriteAsync(controller, ns, command),
        Opcode.Flush => FlushAsync(ns, command),
        Opcode.WriteZeroes => WriteZeroesAsync(controller, ns, command),
        Opcode.DatasetManagement => LongCommands.DeallocateAsync(ns, command),
        Opcode.Compare => LongCommands.CompareAsync(controller, ns, command),
        Opcode.Verify => LongCommands.VerifyAsync(controller, ns, command),
        Opcode.Copy when controller.Subsystem.AllowsCopy => CopyCommands.CopyAsync(controller, ns, command),
        Opcode.WriteUncorrectable when controller.Subsystem.AllowsUncorrectable && ns.Device.UnreadableRanges is not null
            => WriteUncorrectableAsync(ns, command),
        Opcode.ZoneAppend when ns.Zones is not null => ZoneCommands.AppendAsync(controller, ns, command),
        Opcode.ZoneManagementSend when ns.Zones is not null => ZoneCommands.SendAsync(ns, command),
        Opcode.ZoneManagementReceive when ns.Zones is not null => ZoneCommands.ReceiveAsync(ns, command),
        _ => new(NvmeStatus.InvalidOpcode),
    };

    /// <summary>Checks the blocks of a command, once: from here on its offset and length fit the disk.</summary>
    internal static NvmeStatus CheckRange(NvmeNamespace ns, in SubmissionEntry entry, out long offset, out int length)
    {
        offset = 0;
        length = entry.BlockCount << ns.BlockShift;
        if (entry.StartingLba >= ns.Blocks || (ulong)entry.BlockCount > ns.Blocks - entry.StartingLba)
        {
            return NvmeStatus.LbaOutOfRange;
        }

        offset = (long)(entry.StartingLba << ns.BlockShift);
        return NvmeStatus.Success;
    }

    /// <summary>The same for a command whose data must be as long as its blocks.</summary>
    internal static NvmeStatus CheckTransfer(NvmeNamespace ns, Command command, out long offset)
    {
        var status = CheckRange(ns, command.Entry, out offset, out int length);
        return status != NvmeStatus.Success ? status : command.Data.Length != length ? NvmeStatus.SglLengthInvalid : NvmeStatus.Success;
    }

    /// <summary>Makes the written data durable if the command requires it or there is no write cache.</summary>
    /// <remarks>The data was written in its turn; waiting for the medium must not block the next command of the queue.</remarks>
    internal static ValueTask SettleAsync(Controller controller, NvmeNamespace ns, Command command)
        => MustSettle(controller, command) ? FlushLaterAsync(ns, command) : ValueTask.CompletedTask;

    /// <summary>Whether written data must be durable before the command completes.</summary>
    internal static bool MustSettle(Controller controller, Command command)
        => command.Entry.ForceUnitAccess || !controller.Features.HasWriteCache;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private static async ValueTask FlushLaterAsync(NvmeNamespace ns, Command command)
    {
        await Task.Yield();
        await ns.Device.FlushAsync(ns.TokenOf(command));
    }

    private static ValueTask<NvmeStatus> ReadAsync(NvmeNamespace ns, Command command)
    {
        var status = CheckTransfer(ns, command, out long offset);
        if (status != NvmeStatus.Success)
        {
            return new(status);
        }

        var reading = ns.Device.ReadAsync(offset, command.Data, ns.TokenOf(command));
        if (!reading.IsCompletedSuccessfully)
        {
            return EndReadAsync(command, reading);
        }

        command.Written = command.Data.Length;
        return new(NvmeStatus.Success);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> EndReadAsync(Command command, ValueTask reading)
    {
        await reading;
        command.Written = command.Data.Length;
        return NvmeStatus.Success;
    }

    private static ValueTask<NvmeStatus> WriteAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        var status = CheckTransfer(ns, command, out long offset);
        if (status != NvmeStatus.Success)
        {
            return new(status);
        }

        var writing = ns.Device.WriteAsync(offset, command.Data, cancellationToken: ns.TokenOf(command));
        return writing.IsCompletedSuccessfully && !MustSettle(controller, command)
            ? new(NvmeStatus.Success) : EndWriteAsync(controller, ns, command, writing);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> EndWriteAsync(
        Controller controller, NvmeNamespace ns, Command command, ValueTask writing)
    {
        await writing;
        await SettleAsync(controller, ns, command);
        return NvmeStatus.Success;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> WriteZeroesAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        const uint mayDeallocate = 1u << 25;
        var status = CheckRange(ns, command.Entry, out long offset, out int length);
        if (status == NvmeStatus.Success)
        {
            var flags = (command.Entry.Dword12 & mayDeallocate) != 0 ? ZeroFlags.MayUnmap : ZeroFlags.None;
            await (length > LongCommands.ShortZeroes && ns.Zones is null ? LongCommands.WriteZeroesAsync(ns, command, offset, length, flags)
                : ns.Device.WriteZeroesAsync(offset, length, flags, ns.TokenOf(command)));
            await SettleAsync(controller, ns, command);
        }

        return status;
    }

    private static async ValueTask<NvmeStatus> WriteUncorrectableAsync(NvmeNamespace ns, Command command)
    {
        var status = CheckRange(ns, command.Entry, out long offset, out int length);
        if (status == NvmeStatus.Success)
        {
            await ns.Device.UnreadableRanges!.AddAsync(offset, length, ns.TokenOf(command));
        }

        return status;
    }

    private static void Count(NvmeNamespace ns, Command command, NvmeStatus status)
    {
        if (status != NvmeStatus.Success)
        {
            ns.Statistics.CountError();
            return;
        }

        ref readonly var entry = ref command.Entry;
        var operation = OperationOf(entry.Opcode);
        long bytes = operation switch
        {
            ServedOperation.Write when entry.Opcode == Opcode.Copy => CopyCommands.BytesOf(ns, command),
            ServedOperation.Read or ServedOperation.Write or ServedOperation.Append => command.Data.Length,
            ServedOperation.Zeroes => (long)entry.BlockCount << ns.BlockShift,
            _ => 0,
        };
        ns.Statistics.Count(operation, bytes);
        if (bytes > 0 && operation != ServedOperation.Read && ns.Zones is { } zones)
        {
            ns.ZoneTraffic.CountWrite((int)((long)(entry.StartingLba << ns.BlockShift) / zones.Limits.ZoneSize), bytes);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<NvmeStatus> FlushAsync(NvmeNamespace ns, Command command)
    {
        await ns.Device.FlushAsync(ns.TokenOf(command));
        return NvmeStatus.Success;
    }

    private static async ValueTask<NvmeStatus> FlushAllAsync(Controller controller, Command command)
    {
        foreach (var ns in controller.Attached.All)
        {
            // success would mean that the data of every namespace are durable
            if (ns.AccessRefusal is not NvmeStatus.Success and var refusal)
            {
                return refusal;
            }

            int ticket = ns.Closing.TryEnter();
            if (ticket < 0)
            {
                // a format flushes the namespace itself
                continue;
            }

            try
            {
                Count(ns, command, await FlushAsync(ns, command));
            }
            catch (BlockException e)
            {
                ns.Statistics.CountError();
                return command.IsAborted && e.Error == BlockError.Cancelled ? NvmeStatus.AbortRequested : StatusMap.Of(e, writing: true);
            }
            finally
            {
                ns.Closing.Leave(ticket);
            }
        }

        return NvmeStatus.Success;
    }
}
