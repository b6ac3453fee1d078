using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

// writes to zones whose path was lost. A zone's pointer tells whether a write was done: it stands behind it, or where it begins. Those that
// were not done are sent again, the lowest first, since each needs the one below it; writes that come meanwhile take their place among
// them. So do those that come first on another path: on the previous one, a write below them may not have been decided
internal sealed partial class RemoteZonedNamespace
{
    private readonly Lock _recovery = new();
    private readonly List<LostWrite> _lost = [];
    private volatile bool _recovering;
    private TaskCompletionSource? _quiet;

    // writes that were sent, or will be, and are not in the list; the choice of a path for which all earlier ones are decided
    private int _direct, _settled;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    protected override async ValueTask<HostAnswer> RunWriteAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> data, long offset, int length, CancellationToken cancellationToken)
    {
        // counted, then checked: either a recovery sees the count, or this write sees the recovery
        Interlocked.Increment(ref _direct);
        var route = _host.Route;
        int lost = -1;
        bool mayHaveRun = false;
        Task<HostAnswer> recovered;
        try
        {
            if (!_recovering && route.Generation == Volatile.Read(ref _settled))
            {
                lost = route.Generation;
                try
                {
                    var completion = await _host.RunOnceAsync(entry, data, route, cancellationToken);
                    if (!StatusMap.IsOfPath(completion.Status))
                    {
                        return new HostAnswer(completion, route.Incarnation);
                    }

                    mayHaveRun = _host.NoteRefusal(completion.Status, route);
                }
                catch (ConnectionLostException e)
                {
                    mayHaveRun = e.WasSent;
                }
            }

            recovered = RecoverAsync(new LostWrite(entry, data, offset, length, mayHaveRun), lost);
        }
        finally
        {
            LeaveDirect();
        }

        return await recovered;
    }

    private void LeaveDirect()
    {
        if (Interlocked.Decrement(ref _direct) == 0 && _recovering)
        {
            lock (_recovery)
            {
                _quiet?.TrySetResult();
            }
        }
    }

    // completes when every write is in the list, or has its result
    private Task QuietAsync()
    {
        lock (_recovery)
        {
            _quiet = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (Volatile.Read(ref _direct) == 0)
            {
                _quiet.TrySetResult();
            }

            return _quiet.Task;
        }
    }

    private Task<HostAnswer> RecoverAsync(LostWrite write, int lost)
    {
        lock (_recovery)
        {
            _lost.Add(write);
            if (_recovering)
            {
                return write.Done.Task;
            }

            _recovering = true;
        }

        _ = RecoverAllAsync(lost);
        return write.Done.Task;
    }

    // ends by itself and never throws
    private async Task RecoverAllAsync(int lost)
    {
        try
        {
            await _host.ReconnectAsync(lost);
            await QuietAsync();
            while (TakeLowest() is { } write)
            {
                try
                {
                    write.Done.TrySetResult(await DecideAsync(write));
                }
                catch (BlockException e)
                {
                    write.Done.TrySetException(e);
                    if (!_host.IsConnected)
                    {
                        throw;
                    }
                }
            }
        }
        catch (Exception e)
        {
            FailAll(e);
        }
    }

    private LostWrite? TakeLowest()
    {
        lock (_recovery)
        {
            if (_lost.Count == 0)
            {
                _settled = _host.Route.Generation;
                _recovering = false;
                return null;
            }

            var lowest = _lost.MinBy(static w => w.Offset)!;
            _lost.Remove(lowest);
            return lowest;
        }
    }

    private void FailAll(Exception why)
    {
        LostWrite[] all;
        lock (_recovery)
        {
            all = [.. _lost];
            _lost.Clear();
            _recovering = false;
        }

        foreach (var write in all)
        {
            write.Done.TrySetException(new BlockException(BlockError.Io, why.Message, why));
        }
    }

    private async ValueTask<HostAnswer> DecideAsync(LostWrite write)
    {
        bool mayHaveRun = write.MayHaveRun;
        for (long since = 0; ; since = since == 0 ? TimeProvider.System.GetTimestamp() : since)
        {
            var route = _host.Route;
            if (mayHaveRun && await IsDoneAsync(write))
            {
                return await DoneAsync(write, route);
            }

            try
            {
                var completion = await _host.RunOnceAsync(write.Entry, write.Data, route, CancellationToken.None);
                if (!StatusMap.IsOfPath(completion.Status))
                {
                    // the server may have executed the first one after it had reported the zone
                    bool isBehind = completion.Status is NvmeStatus.ZoneInvalidWrite or NvmeStatus.ZoneIsFull;
                    return isBehind && mayHaveRun && await IsDoneAsync(write) ? await DoneAsync(write, route)
                        : new HostAnswer(completion, route.Incarnation);
                }

                mayHaveRun |= _host.NoteRefusal(completion.Status, route);
                _host.ThrowIfRefusedFor(since);
            }
            catch (ConnectionLostException e)
            {
                mayHaveRun |= e.WasSent;
            }

            await _host.ReconnectAsync(route.Generation);
        }
    }

    // whether a write that may have been executed was: by the zone's pointer
    private async ValueTask<bool> IsDoneAsync(LostWrite write)
    {
        var zone = new ZoneDescriptor[1];
        await ReportAsync(write.Offset, zone);
        if (zone[0].HasRandomArea && write.Offset < zone[0].WritePointer)
        {
            throw new BlockException(
                BlockError.Io,
                $"the connection was lost in a write at {write.Offset}, in a random write area that another write or a commit has "
                + $"moved to {zone[0].WritePointer} since: whether it was done is unknown");
        }

        // written again in a random write area, data are the same
        long dataEnd = zone[0].Condition == ZoneCondition.Full ? zone[0].Start + zone[0].Capacity : zone[0].WritePointer;
        return dataEnd >= write.Offset + write.Length || (dataEnd <= write.Offset ? false
            : throw new BlockException(
                BlockError.Io, $"the connection was lost in a write at {write.Offset}: part of it was done, up to {dataEnd}"));
    }

    // whether a write that was done is durable is unknown
    private async ValueTask<HostAnswer> DoneAsync(LostWrite write, HostRoute route) => write.Entry.ForceUnitAccess
        ? await _host.RunAsync(
            new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = write.Entry.NamespaceId }, default, default, CancellationToken.None)
        : new HostAnswer(new CompletionEntry(0, 0, 0, NvmeStatus.Success), route.Incarnation);

    /// <summary>A write that has not completed: its path was lost, or earlier writes are decided first.</summary>
    private sealed record LostWrite(SubmissionEntry Entry, ReadOnlyMemory<byte> Data, long Offset, int Length, bool MayHaveRun)
    {
        public TaskCompletionSource<HostAnswer> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
