using Paddock.Block;

namespace Paddock.Testing;

/// <summary>
/// A simulated disk under an image. It logs every change, loses what was not flushed when the power goes (<see cref="Reboot"/>), can stop at
/// a given request or flush (<see cref="CutAtRequest"/>, <see cref="CutAtSync"/>), fail requests by chance, and hold requests back so that
/// they complete in another order. All choices come from seeds. Not safe for use from several threads: a simulation has one.
/// </summary>
public sealed class CrashStorage : IStorage
{
    private readonly PagedStorage _live;
    private readonly Random? _faults;
    private int _requests;
    private bool _cut;

    /// <param name="start">What the disk holds at first; durable. The disk works on a copy.</param>
    /// <param name="faultSeed">Seed of the choice of failing requests; null: none fails.</param>
    public CrashStorage(PagedStorage? start = null, int? faultSeed = null)
    {
        start ??= new PagedStorage();
        Log = new StorageLog(start.Clone());
        _live = start.Clone();
        _faults = faultSeed is { } seed ? new Random(seed) : null;
    }

    /// <summary>All changes so far.</summary>
    public StorageLog Log { get; }

    /// <summary>The power goes at this request, counted from 1 over all requests; 0 is never.</summary>
    public int CutAtRequest { get; set; }

    /// <summary>The power goes when this flush, counted from 1, is to begin; 0 is never.</summary>
    public int CutAtSync { get; set; }

    /// <summary>One in how many changing requests and flushes fails; 0 is none.</summary>
    public int FaultOneIn { get; set; }

    /// <summary>How many requests were made to fail.</summary>
    public int Faults { get; private set; }

    /// <summary>Awaited before a request takes effect; null: every request completes at once.</summary>
    public Func<ValueTask>? Hold { get; set; }

    /// <summary>What a reader of the running disk would see.</summary>
    public PagedStorage Live => _live;

    /// <inheritdoc/>
    public string Name => "crash";

    /// <inheritdoc/>
    public long Length => _live.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public long AllocatedBytes => _live.AllocatedBytes;

    /// <summary>The disk after the power came back: what was flushed, and of the rest what the seed lets survive.</summary>
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
        await EnterAsync(changing: true);
        Do(new StorageLogEntry(StorageStep.Write, offset, data.Length, data.ToArray()));
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        await EnterAsync(changing: true);
        Do(new StorageLogEntry(StorageStep.Zero, offset, length, null));
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
        // only what completed before the flush began is made durable by it
        int covered = Log.Count;
        _cut |= CutAtSync > 0 && Log.Syncs + 1 >= CutAtSync;
        await EnterAsync(changing: true);
        Do(new StorageLogEntry(StorageStep.Sync, covered, 0, null));
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
    }

    private async ValueTask EnterAsync(bool changing)
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

        if (changing && FaultOneIn > 0 && _faults?.Next(FaultOneIn) == 0)
        {
            Faults++;
            throw new BlockException(BlockError.Io, "injected I/O error");
        }
    }
}
