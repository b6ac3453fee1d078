using System.Buffers.Binary;
using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// A request from its header to its status. Used again and again. It begins on its ring's thread; what the disk does not answer at once
/// ends on another.
/// </summary>
internal sealed partial class BlkRequest : IThreadPoolWorkItem, IAppendObserver
{
    private const int StatusSize = 1;

    private readonly BlkQueue _queue;
    private readonly VirtioBlkDevice _device;
    private readonly Action _finish;
    private DescriptorChain _chain = null!;
    private RequestHeader _header;
    private long _startedAt;
    private RequestStatus _status;
    private long _length;
    private long _dataWritten;
    private long _cost;
    private bool _here;
    private bool _verified;
    private DataWay _way;
    private Slab? _slab;
    private WriteLane? _lane;
    private ValueTaskAwaiter _awaiter;
    private ValueTaskAwaiter<long> _appended;

    /// <param name="queue">Whose requests it runs.</param>
    /// <param name="device">The device.</param>
    public BlkRequest(BlkQueue queue, VirtioBlkDevice device)
    {
        _queue = queue;
        _device = device;
        _finish = Finish;
    }

    /// <summary>What is asked.</summary>
    public RequestType Type => _header.Type;

    /// <summary>Bytes of data.</summary>
    public long Length => _length;

    /// <summary>Whether its data goes to the disk in parts, or may turn out to: what must come after it must wait for its end.</summary>
    public bool IsParted => _way == DataWay.Parts || (_chain.IsReplay && _header.Type == RequestType.Out);

    /// <summary>Which zone it is for, on a zoned disk.</summary>
    public long Zone => Offset / _device.Zones!.Limits.ZoneSize;

    private long Offset => (long)(_header.Sector << BlkLimits.SectorShift);

    private WriteFlags Flags => _queue.IsWriteThrough ? WriteFlags.Fua : WriteFlags.None;

    /// <summary>Reads the header and checks it: from here on, type, place and length are such as the disk may be asked for.</summary>
    /// <returns>False if it is rejected; <see cref="Refuse"/> reports that to the driver.</returns>
    public bool Begin(DescriptorChain chain)
    {
        _chain = chain;
        _startedAt = Stopwatch.GetTimestamp();
        _header = default;
        (_status, _length, _dataWritten, _cost, _verified) = (RequestStatus.Ok, 0, 0, 0, false);
        if (chain.ReadableBytes < RequestHeader.Size || chain.WritableBytes < StatusSize)
        {
            _status = RequestStatus.IoError;
            return false;
        }

        Span<byte> header = stackalloc byte[RequestHeader.Size];
        Pieces.Gather(chain.Readable, 0, header);
        _header = RequestHeader.Parse(header);
        _length = _header.Type is RequestType.In or RequestType.GetId or RequestType.ZoneReport
            ? chain.WritableBytes - StatusSize : chain.ReadableBytes - RequestHeader.Size;
        _status = Check();
        _way = _status == RequestStatus.Ok && IsTransfer ? Way() : DataWay.None;
        return _status == RequestStatus.Ok;
    }

    /// <summary>Ends what <see cref="Begin"/> or <see cref="Reserve"/> refused.</summary>
    /// <param name="here">The ring's thread wakes the driver soon; else it is woken now.</param>
    public void Refuse(bool here)
    {
        _here = here;
        End();
    }

    /// <summary>Takes the buffer that it needs, and room for itself when it is to run on; waits where there is none.</summary>
    /// <returns>False if no memory became free; <see cref="Refuse"/> reports that to the driver.</returns>
    public bool Reserve(bool away)
    {
        int buffer = BufferSize();
        if (away || buffer > 0)
        {
            _cost = BlkLimits.RequestCost + (long)BitOperations.RoundUpToPowerOf2((ulong)buffer);
            if (!_device.Budget.TryEnter(_cost))
            {
                _queue.Tell();
                _device.Budget.Enter(_cost);
            }
        }

        if (buffer == 0 || (_slab = _device.Buffers.TryRent(buffer)) is not null)
        {
            return true;
        }

        _queue.Tell();
        _slab = _device.Rent(buffer);
        if (_slab is not null)
        {
            return true;
        }

        _status = RequestStatus.IoError;
        return false;
    }

    /// <summary>Runs it, and lets a lane go on when it has ended.</summary>
    public void RunHolding(WriteLane lane)
    {
        _lane = lane;
        Run(here: false);
    }

    /// <summary>Runs it.</summary>
    /// <param name="here">On the ring's own thread, which asks whether to notify by itself.</param>
    public void Run(bool here)
    {
        _here = here;
        ValueTask operation = default;
        ValueTask<long> append = default;
        try
        {
            if (_header.Type == RequestType.ZoneAppend)
            {
                append = _chain.IsReplay ? AppendAgainAsync() : Append();
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

        if (_header.Type == RequestType.ZoneAppend)
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

    private bool IsTransfer => _header.Type is RequestType.In or RequestType.Out or RequestType.ZoneAppend;

    /// <inheritdoc/>
    public void Assigned(long offset) => _queue.Note(_chain, new AppendNote(offset, (int)_length));

    private int BufferSize()
    {
        int buffer = _way switch
        {
            DataWay.Buffer => (int)_length,
            DataWay.Parts => BlkLimits.Part,
            DataWay.Direct => 0,
            _ when _header.Type is RequestType.ZoneReport => (int)Math.Min(_length, _device.LongestGathered),
            _ => _header.Type is RequestType.Discard or RequestType.WriteZeroes ? (int)_length : 0,
        };

        // what it takes to look whether it was done
        bool looks = _chain.IsReplay && _device.Zones is not null && _header.Type is RequestType.Out or RequestType.ZoneAppend;
        return looks ? Math.Max(buffer, 2 * BlkLimits.Part) : buffer;
    }

    // an append is one request, whatever its pieces: its length was checked
    private DataWay Way() => _length <= _device.Device.Limits.MaxTransfer && TryGetRun(out _) ? DataWay.Direct
        : _length <= Math.Min(_device.Device.Limits.MaxTransfer, _device.LongestGathered) || _header.Type == RequestType.ZoneAppend ? DataWay.Buffer
        : DataWay.Parts;

    private RequestStatus Check()
    {
        bool onZones = _device.Zones is not null;
        ulong sectors = (ulong)_device.Device.Length >> BlkLimits.SectorShift;
        bool inside = _header.Sector < sectors;
        return _header.Type switch
        {
            RequestType.In => CheckTransfer(sectors),
            RequestType.Out => _device.Device.IsReadOnly ? RequestStatus.IoError : CheckWrite(sectors),
            RequestType.Flush or RequestType.GetId => RequestStatus.Ok,
            RequestType.Discard => (_device.Features & BlkFeatures.Discard) != 0 ? CheckRanges() : RequestStatus.Unsupported,
            RequestType.WriteZeroes => (_device.Features & BlkFeatures.WriteZeroes) != 0 ? CheckRanges() : RequestStatus.Unsupported,
            RequestType.ZoneAppend when onZones => inside ? CheckAppend() : RequestStatus.ZoneInvalid,
            RequestType.ZoneReport when onZones
                => inside && _length >= ZoneReport.HeaderSize + ZoneReport.ZoneSize ? RequestStatus.Ok : RequestStatus.ZoneInvalid,
            RequestType.ZoneOpen or RequestType.ZoneClose or RequestType.ZoneFinish or RequestType.ZoneReset when onZones
                => inside ? RequestStatus.Ok : RequestStatus.ZoneInvalid,
            RequestType.ZoneResetAll when onZones => RequestStatus.Ok,
            _ => RequestStatus.Unsupported,
        };
    }

    private RequestStatus CheckTransfer(ulong sectors)
        => _length > 0 && _length % BlkLimits.Sector == 0 && _header.Sector <= sectors
            && (ulong)(_length >> BlkLimits.SectorShift) <= sectors - _header.Sector ? RequestStatus.Ok : RequestStatus.IoError;

    // what goes in parts is looked at whole: else its first parts would be written before the last is refused
    private RequestStatus CheckWrite(ulong sectors)
    {
        var status = CheckTransfer(sectors);
        return status == RequestStatus.Ok && _device.Zones?.Limits is { } zones && _length > Math.Min(_device.Device.Limits.MaxTransfer, _device.LongestGathered)
            && Offset >= zones.ConventionalZones * zones.ZoneSize && (Offset % zones.ZoneSize) + _length > zones.ZoneCapacity
            ? RequestStatus.ZoneInvalid : status;
    }

    private RequestStatus CheckRanges()
        => _length > 0 && _length % BlkRange.Size == 0 && _length <= BlkLimits.Ranges * BlkRange.Size
            ? RequestStatus.Ok : RequestStatus.IoError;

    private RequestStatus CheckAppend()
        => _chain.WritableBytes < sizeof(ulong) + StatusSize ? RequestStatus.ZoneInvalid
            : _length == 0 || _length % _device.BlockSize != 0 ? RequestStatus.ZoneUnaligned
            : _length >> BlkLimits.SectorShift > BlkConfig.AppendSectors(_device.Zones!.Limits, _device.BlockSize, _device.LongestGathered) ? RequestStatus.ZoneInvalid
            : RequestStatus.Ok;

    private bool TryGetRun(out Memory<byte> run) => _header.Type == RequestType.In
        ? Pieces.TryGetRun(_chain.Writable, 0, _length, out run)
        : Pieces.TryGetRun(_chain.Readable, RequestHeader.Size, _length, out run);

    private void Track(ValueTask operation)
    {
        var awaiter = _awaiter = operation.GetAwaiter();
        if (awaiter.IsCompleted)
        {
            Finish();
            return;
        }

        RunOn();

        // from here on another thread may be at work on this object already
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
            if (_header.Type == RequestType.ZoneAppend)
            {
                PutLanded(_appended.GetResult());
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

        if (_header.Type == RequestType.In && _status == RequestStatus.Ok)
        {
            if (_way == DataWay.Buffer)
            {
                Pieces.Scatter(_chain.Writable, 0, _slab!.Bytes.AsSpan(0, (int)_length));
            }

            _dataWritten = _length;
        }

        End();
    }

    private void Fail(Exception failure)
    {
        if (failure is BlockException { Error: BlockError.Cancelled } && _queue.LongWork.IsDisposed)
        {
            GiveBack();
            var held = TakeLane();
            _queue.Abandon(this);
            held?.GoOn();
            return;
        }

        // taken again after a crash, a write to a zone may find its own data already there
        if (_chain.IsReplay && !_verified && _header.Type == RequestType.Out && failure is ZoneException)
        {
            _verified = true;
            Track(ResumeAsync(failure));
            return;
        }

        _status = StatusMap.Of(failure, _header.Type);
        End();
    }

    private void PutLanded(long offset)
    {
        Span<byte> sector = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteInt64LittleEndian(sector, offset >> BlkLimits.SectorShift);
        Pieces.Scatter(_chain.Writable, 0, sector);
        _dataWritten = sector.Length;
    }

    private void End()
    {
        var chain = _chain;
        uint written = 0;
        if (chain.WritableBytes > 0)
        {
            // what is said to be written has no gap: the status counts where it follows the data at once
            long before = chain.WritableBytes - StatusSize;
            written = (uint)(_dataWritten == before ? before + StatusSize : _dataWritten);
            Pieces.Scatter(chain.Writable, before, [(byte)_status]);
        }

        GiveBack();
        Count();
        var lane = TakeLane();
        _queue.End(this, chain, written, _here);
        lane?.GoOn();
    }

    private void Count()
    {
        var operation = _header.Type switch
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
        _device.Latencies.Count(operation, _startedAt);
        if (_status != RequestStatus.Ok)
        {
            _device.Statistics.CountError();
            return;
        }

        bool moves = operation is ServedOperation.Read or ServedOperation.Write or ServedOperation.Append;
        _device.Statistics.Count(operation, moves ? _length : 0);
    }

    private WriteLane? TakeLane()
    {
        var lane = _lane;
        _lane = null;
        return lane;
    }

    private void GiveBack()
    {
        _slab?.Release();
        _slab = null;
        if (_cost > 0)
        {
            _device.Budget.Leave(_cost);
        }
    }
}

/// <summary>How the data of a read, write or append goes between the guest's memory and the disk.</summary>
internal enum DataWay : byte
{
    /// <summary>There is none, or it goes its own way.</summary>
    None,

    /// <summary>It is one piece, which the disk gets as it is.</summary>
    Direct,

    /// <summary>All of it is copied through one buffer.</summary>
    Buffer,

    /// <summary>It is copied through one buffer in parts, one after the other.</summary>
    Parts,
}
