using Paddock.Block;

namespace Paddock.Testing;

/// <summary>
/// Simulated disk under an image. It logs every change, loses unflushed data on a power cut (<see cref="Reboot"/>), can stop at a given
/// request or flush (<see cref="CutAtRequest"/>, <see cref="CutAtSync"/>), fail requests at random, and hold requests so that they complete
/// in another order. All choices come from seeds. Not thread-safe: a simulation has one thread.
/// </summary>
public sealed class CrashStorage : IStorage, IThinStorage, IDurableStorage
{
    private readonly PagedStorage _live;
    private readonly Random? _faults;
    private readonly FlushFailure _flushFailure = new("crash");
    private int _requests, _settled, _changed;
    private bool _cut;

    /// <param name="start">Initial, durable contents. The disk works on a copy.</param>
    /// <param name="faultSeed">Seed for choosing the requests to fail; null: none fails.</param>
    public CrashStorage(PagedStorage? start = null, int? faultSeed = null)
    {
        start ??= new PagedStorage();
        Log = new StorageLog(start.Clone());
        _live = start.Clone();
        _faults = faultSeed is { } seed ? new Random(seed) : null;
    }

    /// <summary>All changes so far.</summary>
    public StorageLog Log { get; }

    /// <summary>Request at which the power is cut, counted from 1 over all requests; 0: never.</summary>
    public int CutAtRequest { get; set; }

    /// <summary>Flush before which the power is cut, counted from 1; 0: never.</summary>
    public int CutAtSync { get; set; }

    /// <summary>Fails one in this many modifying requests and flushes; 0: none.</summary>
    public int FaultOneIn { get; set; }

    /// <summary>Whether half of the failing writes take effect nevertheless.</summary>
    public bool FaultsMayTakeEffect { get; set; }

    /// <summary>Whether a failing write that takes effect (<see cref="FaultsMayTakeEffect"/>) writes only half of its bytes.</summary>
    public bool FaultsTearWrites { get; set; }

    /// <summary>Modifying request that fails, counted from 1 over writes, write-zeroes and flushes; 0: none.</summary>
    public int FailChange { get; set; }

    /// <inheritdoc/>
    public bool IsThin { get; set; }

    /// <inheritdoc/>
    public long DurableBlock { get; set; }

    /// <inheritdoc/>
    public bool IsSettled => _changed <= _settled;

    /// <summary>Number of modifying requests so far.</summary>
    public int Changes { get; private set; }

    /// <summary>Whether space can be allocated other than by writing.</summary>
    public bool CanReserve { get; set; } = true;

    /// <summary>
    /// Size of the file system in bytes; requests that need more fail with "no space". Holes occupy no space, a write to allocated space
    /// always succeeds, and a write uses the available space before it fails. 0: no limit.
    /// </summary>
    public long Capacity { get; set; }

    /// <summary>Flush that fails, counted from 1 over all requested flushes; 0: none.</summary>
    public int FailFlush { get; set; }

    /// <summary>
    /// Consequence of a failed flush. True: the system has dropped the data, any part of which may be lost, and no later flush covers it;
    /// like a file, this storage rejects every later flush. False: nothing is lost, and the next flush covers everything.
    /// </summary>
    public bool FlushFailureLoses { get; set; } = true;

    /// <summary>Number of flushes requested so far.</summary>
    public int FlushesAsked { get; private set; }

    /// <summary>Number of requests that failed for lack of space.</summary>
    public int Refusals { get; private set; }

    /// <summary>Number of requests that were failed deliberately.</summary>
    public int Faults { get; private set; }

    /// <summary>Awaited before a request takes effect; null: every request completes at once.</summary>
    public Func<ValueTask>? Hold { get; set; }

    /// <summary>Contents that a reader of the running disk would see.</summary>
    public PagedStorage Live => _live;

    /// <inheritdoc/>
    public string Name => "crash";

    /// <inheritdoc/>
    public long Length => _live.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public long AllocatedBytes => _live.AllocatedBytes;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <summary>Returns the disk after power is restored: flushed data, and the unflushed data that the seed lets survive.</summary>
    public PagedStorage Reboot(int seed) => new PowerCut(Log).At(Log.Count, seed);

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: false);
        _live.Read(offset, buffer.Span);
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        var entry = new StorageLogEntry(StorageStep.Write, offset, data.Length, data.ToArray());
        await EnterAsync(changing: true, entry);
        int fits = (int)Math.Min(data.Length, RoomFor(offset, data.Length));
        if (fits > 0)
        {
            Do(new StorageLogEntry(StorageStep.Write, offset, fits, data[..fits].ToArray()));
        }

        ThrowIfFull(fits < data.Length);
    }

    /// <inheritdoc/>
    public async ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        bool isAtomic = offset / DurableBlock == (offset + data.Length - 1) / DurableBlock;
        var entry = new StorageLogEntry(StorageStep.Write, offset, data.Length, data.ToArray(), isAtomic);
        _flushFailure.ThrowIfFailed();
        await EnterAsync(changing: true, entry);
        ThrowIfFull(RoomFor(offset, data.Length) < data.Length);
        int index = Log.Count;
        Log.Add(entry);
        StorageLog.Apply(_live, entry);

        // others may be written meanwhile
        await Task.Yield();
        if (_cut)
        {
            throw new BlockException(BlockError.Io, "the power is gone");
        }

        Log.Add(new StorageLogEntry(StorageStep.Settle, index, 0, null));
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        var entry = new StorageLogEntry(StorageStep.Zero, offset, length, null);
        await EnterAsync(changing: true, entry);
        bool unmaps = (flags & ZeroFlags.MayUnmap) != 0;
        ThrowIfFull(!unmaps && RoomFor(offset, length) < length);
        Do(entry);
        if (!unmaps && Capacity > 0)
        {
            _live.Allocate(offset, length);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: true);
        Do(new StorageLogEntry(StorageStep.Discard, offset, length, null));
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        // a flush makes durable only what completed before the flush began
        int covered = Log.Count;
        FlushesAsked++;
        _flushFailure.ThrowIfFailed();
        if (FlushesAsked == FailFlush)
        {
            var failure = new BlockException(BlockError.Io, "injected: the flush failed");
            throw FlushFailureLoses ? _flushFailure.Record(failure) : failure;
        }

        _cut |= CutAtSync > 0 && Log.Syncs + 1 >= CutAtSync;
        await EnterAsync(changing: true);
        Log.Add(new StorageLogEntry(StorageStep.Sync, covered, 0, null));
        _settled = Math.Max(_settled, covered);
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _flushFailure.ThrowIfFailed();

    /// <inheritdoc/>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: Capacity > 0);
        if (!CanReserve)
        {
            return false;
        }

        ThrowIfFull(RoomFor(offset, length) < length);
        if (grows && offset + length > Length)
        {
            Do(new StorageLogEntry(StorageStep.SetLength, 0, offset + length, null));
        }

        if (Capacity > 0)
        {
            _live.Allocate(offset, length);
        }

        return true;
    }

    /// <inheritdoc/>
    public async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: true);
        Do(new StorageLogEntry(StorageStep.SetLength, 0, length, null));
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: false);
        return await _live.GetStatusAsync(offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void Do(in StorageLogEntry entry)
    {
        StorageLog.Apply(_live, entry);
        Log.Add(entry);
        _changed = Log.Count;
    }

    /// <summary>Number of bytes of a range, from its start, for which there is space.</summary>
    private long RoomFor(long offset, long length)
    {
        if (Capacity == 0 || length == 0)
        {
            return length;
        }

        long free = Math.Max(0, (Capacity - _live.AllocatedBytes) / PagedStorage.PageSize);
        if (_live.HolesIn(offset, length) <= free)
        {
            return length;
        }

        long at = offset;
        for (; free > 0 || _live.HolesIn(at, 1) == 0; at = ((at / PagedStorage.PageSize) + 1) * PagedStorage.PageSize)
        {
            free -= _live.HolesIn(at, 1);
        }

        return Math.Min(length, at - offset);
    }

    private void ThrowIfFull(bool full)
    {
        if (full)
        {
            Refusals++;
            throw new BlockException(BlockError.NoSpace, "injected: no space is left") { Errno = 28 };
        }
    }

    private async ValueTask EnterAsync(bool changing, StorageLogEntry? entry = null)
    {
        if (Hold is { } hold)
        {
            await hold();
        }

        _requests++;
        _cut |= CutAtRequest > 0 && _requests >= CutAtRequest;
        if (_cut)
        {
            throw new BlockException(BlockError.Io, "the power is gone");
        }

        Changes += changing ? 1 : 0;
        if (changing && (Changes == FailChange || (FaultOneIn > 0 && _faults?.Next(FaultOneIn) == 0)))
        {
            Faults++;
            if (FaultsMayTakeEffect && entry is { } effect && (Changes == FailChange || _faults?.Next(2) == 0))
            {
                Do(FaultsTearWrites && !effect.IsAtomic && effect.Data is { } data
                    ? effect with { Length = data.Length / 2, Data = data[..(data.Length / 2)] }
                    : effect);
            }

            throw new BlockException(BlockError.Io, "injected I/O error");
        }
    }
}
