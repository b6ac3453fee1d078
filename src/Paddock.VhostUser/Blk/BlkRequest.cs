using System.Numerics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Runs a request from its header to its status: it reserves memory, runs, and completes. It starts on its ring's thread and, if the disk
/// does not complete it at once, completes on another. Reused for the next request.
/// </summary>
internal sealed class BlkRequest : IThreadPoolWorkItem, IAppendObserver
{
    private readonly BlkQueue _queue;
    private readonly VirtioBlkDevice _device;
    private readonly BlkJob _job;
    private readonly BlkTransfer _transfer;
    private readonly BlkRanges _ranges;
    private readonly BlkZones _zones;
    private readonly BlkReplay _replay;
    private readonly Action _finish;
    private long _cost;
    private bool _here;
    private bool _verified;
    private WriteLane? _lane;
    private ValueTaskAwaiter _awaiter;
    private ValueTaskAwaiter<long> _appended;

    /// <param name="queue">The request's queue.</param>
    /// <param name="device">The device.</param>
    public BlkRequest(BlkQueue queue, VirtioBlkDevice device)
    {
        _queue = queue;
        _device = device;
        _job = new BlkJob(queue, device);
        _transfer = new BlkTransfer(_job);
        _ranges = new BlkRanges(_job);
        _zones = new BlkZones(_job);
        _replay = new BlkReplay(_job, _transfer);
        _finish = Finish;
    }

    /// <summary>Request type.</summary>
    public RequestType Type => _job.Type;

    /// <summary>Length of the data in bytes.</summary>
    public long Length => _job.Length;

    /// <summary>Whether the data is, or may have to be, written in parts: requests ordered after it must wait until it completes.</summary>
    public bool IsParted => _job.Way == DataWay.Parts || (_job.Chain.IsReplay && _job.Type == RequestType.Out);

    /// <summary>Zone of the request, on a zoned disk.</summary>
    public long Zone => _job.Offset / _device.Zones!.Limits.ZoneSize;

    /// <summary>Reads the header and checks it: type, offset and length are then valid for the disk.</summary>
    /// <returns>False if the request is rejected; <see cref="Refuse"/> then reports it to the driver.</returns>
    public bool Begin(DescriptorChain chain)
    {
        (_cost, _verified) = (0, false);
        return _job.Begin(chain);
    }

    /// <summary>Completes a request that <see cref="Begin"/> or <see cref="Reserve"/> rejected.</summary>
    /// <param name="here">Whether the ring's thread notifies the driver soon; otherwise it is notified now.</param>
    public void Refuse(bool here)
    {
        _here = here;
        End();
    }

    /// <summary>Reserves the buffer and, for a request that outlives the call, its slot; waits until they are available.</summary>
    /// <returns>False if no memory was freed in time; <see cref="Refuse"/> reports that to the driver.</returns>
    public bool Reserve(bool away)
    {
        int buffer = _job.BufferSize;
        if (away || buffer > 0)
        {
            _cost = BlkLimits.RequestCost + (long)BitOperations.RoundUpToPowerOf2((ulong)buffer);
            if (!_device.Budget.TryEnter(_cost))
            {
                _queue.Tell();
                _device.Budget.Enter(_cost);
            }
        }

        if (buffer == 0 || (_job.Slab = _device.Buffers.TryRent(buffer)) is not null)
        {
            return true;
        }

        _queue.Tell();
        _job.Slab = _device.Rent(buffer);
        if (_job.Slab is not null)
        {
            return true;
        }

        _job.Status = RequestStatus.IoError;
        return false;
    }

    /// <summary>Runs the request, and resumes a lane when it has completed.</summary>
    public void RunHolding(WriteLane lane)
    {
        _lane = lane;
        Run(here: false);
    }

    /// <summary>Runs the request.</summary>
    /// <param name="here">Whether this is the ring's own thread, which checks by itself whether to notify.</param>
    public void Run(bool here)
    {
        _here = here;
        ValueTask operation = default;
        ValueTask<long> append = default;
        try
        {
            if (_job.Type == RequestType.ZoneAppend)
            {
                append = _job.Chain.IsReplay ? _replay.AppendAsync(this) : _transfer.Append(this);
            }
            else
            {
                operation = Start();
            }
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        if (_job.Type == RequestType.ZoneAppend)
        {
            Track(append);
        }
        else
        {
            Track(operation);
        }
    }

    /// <inheritdoc/>
    public void Execute() => Run(here: false);

    /// <inheritdoc/>
    public void Assigned(long offset) => _queue.Note(_job.Chain, new AppendNote(offset, (int)_job.Length));

    private ValueTask Start() => _job.Type switch
    {
        RequestType.In => _transfer.Read(),
        RequestType.Out => _transfer.Write(),
        RequestType.Flush => _device.Device.FlushAsync(),
        RequestType.GetId => _transfer.WriteId(),
        RequestType.Discard or RequestType.WriteZeroes => _ranges.RunAsync(),
        RequestType.ZoneReport => _zones.ReportAsync(),
        RequestType.ZoneOpen => _zones.ManageOne(ZoneAction.Open),
        RequestType.ZoneClose => _zones.ManageOne(ZoneAction.Close),
        RequestType.ZoneFinish => _zones.ManageOne(ZoneAction.Finish),
        RequestType.ZoneReset => _zones.ManageOne(ZoneAction.Reset),
        _ => _zones.ResetAll(),
    };

    private void Track(ValueTask operation)
    {
        var awaiter = _awaiter = operation.GetAwaiter();
        if (awaiter.IsCompleted)
        {
            Finish();
            return;
        }

        RunOn();

        // from here on another thread may be reusing this object
        awaiter.UnsafeOnCompleted(_finish);
    }

    private void Track(ValueTask<long> append)
    {
        var awaiter = _appended = append.GetAwaiter();
        if (awaiter.IsCompleted)
        {
            Finish();
            return;
        }

        RunOn();
        awaiter.UnsafeOnCompleted(_finish);
    }

    private void RunOn()
    {
        _here = false;
        if (_cost == 0)
        {
            _cost = BlkLimits.RequestCost;
            _device.Budget.Add(_cost);
        }
    }

    private void Finish()
    {
        try
        {
            if (_job.Type == RequestType.ZoneAppend)
            {
                _transfer.CompleteAppend(_appended.GetResult());
            }
            else
            {
                _awaiter.GetResult();
            }
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        _transfer.CompleteRead();
        End();
    }

    private void Fail(Exception failure)
    {
        if (failure is BlockException { Error: BlockError.Cancelled } && _queue.LongWork.IsDisposed)
        {
            FreeMemory();
            var held = TakeLane();
            _queue.Abandon(this);
            held?.GoOn();
            return;
        }

        // when repeated after a crash, a write to a zone may find its own data on the disk
        if (_job.Chain.IsReplay && !_verified && _job.Type == RequestType.Out && failure is ZoneException)
        {
            _verified = true;
            Track(_replay.ResumeAsync(failure));
            return;
        }

        _job.Status = StatusMap.Of(failure, _job.Type);
        End();
    }

    private void End()
    {
        var chain = _job.Chain;
        uint written = 0;
        if (chain.WritableBytes > 0)
        {
            // the reported length has no gap: the status counts if it follows the data immediately
            long before = chain.WritableBytes - BlkJob.StatusSize;
            written = (uint)(_job.DataWritten == before ? before + BlkJob.StatusSize : _job.DataWritten);
            Pieces.Scatter(chain.Writable, before, [(byte)_job.Status]);
        }

        FreeMemory();
        Count();
        var lane = TakeLane();
        _queue.End(this, chain, written, _here);
        lane?.GoOn();
    }

    private void Count()
    {
        var operation = _job.Type switch
        {
            RequestType.In => ServedOperation.Read,
            RequestType.Out => ServedOperation.Write,
            RequestType.ZoneAppend => ServedOperation.Append,
            RequestType.Flush => ServedOperation.Flush,
            RequestType.Discard => ServedOperation.Trim,
            RequestType.WriteZeroes => ServedOperation.Zeroes,
            RequestType.GetId => ServedOperation.Other,
            _ => ServedOperation.Zone,
        };
        _device.Latencies.Count(operation, _job.StartedAt);
        if (_job.Status != RequestStatus.Ok)
        {
            _device.Statistics.CountError();
            return;
        }

        bool moves = operation is ServedOperation.Read or ServedOperation.Write or ServedOperation.Append;
        _device.Statistics.Count(operation, moves ? _job.Length : 0);
    }

    private WriteLane? TakeLane()
    {
        var lane = _lane;
        _lane = null;
        return lane;
    }

    private void FreeMemory()
    {
        _job.Slab?.Release();
        _job.Slab = null;
        if (_cost > 0)
        {
            _device.Budget.Leave(_cost);
        }
    }
}
