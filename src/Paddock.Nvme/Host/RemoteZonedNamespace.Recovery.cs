using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

// writes to zones whose connection was lost. A zone's pointer tells whether a write was done: it stands behind it, or where it begins.
// Those that were not done are sent again, the lowest first, since each needs the one below it; writes that come meanwhile take their place
// among them
internal sealed partial class RemoteZonedNamespace
{
    private readonly Lock _recovery = new();
    private readonly List<LostWrite> _lost = [];
    private volatile bool _recovering;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    protected override async ValueTask<CompletionEntry> RunWriteAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> data, long offset, int length, CancellationToken cancellationToken)
    {
        int generation = _host.Generation;
        if (!_recovering)
        {
            try
            {
                return await _host.RunOnceAsync(entry, data, default, cancellationToken);
            }
            catch (ConnectionLostException)
            {
                // decided below
            }
        }

        return await RecoverAsync(new LostWrite(entry, data, offset, length), generation);
    }

    private Task<CompletionEntry> RecoverAsync(LostWrite write, int generation)
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

        _ = RecoverAllAsync(generation);
        return write.Done.Task;
    }

    // ends by itself and never throws
    private async Task RecoverAllAsync(int generation)
    {
        try
        {
            await _host.ReconnectAsync(generation);
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

    private async ValueTask<CompletionEntry> DecideAsync(LostWrite write)
    {
        while (true)
        {
            int generation = _host.Generation;
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
            if (dataEnd >= write.Offset + write.Length)
            {
                // the write was done, but whether it is durable is unknown
                return write.Entry.ForceUnitAccess
                    ? await _host.RunAsync(new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = write.Entry.NamespaceId }, default,
                    default, CancellationToken.None)
                    : new CompletionEntry(0, 0, 0, NvmeStatus.Success);
            }

            if (dataEnd > write.Offset)
            {
                throw new BlockException(
                    BlockError.Io, $"the connection was lost in a write at {write.Offset}: part of it was done, up to {dataEnd}");
            }

            try
            {
                return await _host.RunOnceAsync(write.Entry, write.Data, default, CancellationToken.None);
            }
            catch (ConnectionLostException)
            {
                await _host.ReconnectAsync(generation);
            }
        }
    }

    /// <summary>A write whose outcome is unknown.</summary>
    private sealed record LostWrite(SubmissionEntry Entry, ReadOnlyMemory<byte> Data, long Offset, int Length)
    {
        public TaskCompletionSource<CompletionEntry> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
