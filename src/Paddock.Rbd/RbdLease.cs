using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Rbd;

/// <summary>
/// The ownership of an image that this process has open for writing: certain for <see cref="Term"/> after the cluster has confirmed it, and
/// confirmed again while requests come. Whoever takes the image over waits for the end of that time, so that a process that was stopped
/// and resumed answers nothing that is not true any more.
/// </summary>
/// <remarks>
/// What is confirmed is the record in an object of Paddock's own (<see cref="OwnerObject"/>), or, without the right to create that, the
/// lock in the image's header. That the object is watched shows a waiting server that this process runs.
/// </remarks>
internal sealed class RbdLease : IAsyncDisposable
{
    /// <summary>How long a confirmation lasts, and how long a taker waits; the latter with a margin for clocks that differ.</summary>
    public static readonly TimeSpan Term = TimeSpan.FromSeconds(1), TermOfOthers = TimeSpan.FromSeconds(1.1);

    // the second shows a lock that was taken by hand without blocklisting: nothing else reports that while there are no requests
    private static readonly TimeSpan UsedPeriod = TimeSpan.FromMilliseconds(300), IdlePeriod = TimeSpan.FromSeconds(2);

    private readonly RbdCluster _cluster;
    private readonly RbdOwner _self;
    private readonly OwnershipLoss _loss;
    private readonly HeaderLock _lock;
    private readonly OwnerObject _object;
    private readonly Lock _gate = new();
    private readonly Timer _timer;
    private OwnerWatch? _watch;
    private bool _hasRecord;
    private volatile bool _isWatchLost, _isUsed;
    private bool _isEnding;
    private long _confirmed;
    private Task _checking = Task.CompletedTask;

    private RbdLease(RbdCluster cluster, string id, RbdOwner self, OwnershipLoss loss)
    {
        (_cluster, _self, _loss) = (cluster, self, loss);
        _object = new OwnerObject(cluster, id);
        _lock = new HeaderLock(_object.Context, id);
        _timer = new Timer(static lease => ((RbdLease)lease!).Tick(), this, Timeout.Infinite, Timeout.Infinite);
    }

    /// <summary>Whether this process is certainly the owner at this moment.</summary>
    public bool IsConfirmed
    {
        get
        {
            if (!_isUsed)
            {
                _isUsed = true;
            }

            return BootClock.Now - Volatile.Read(ref _confirmed) < Nanoseconds(Term) && _loss.Reason is null;
        }
    }

    /// <summary>Begins; the lock is held.</summary>
    /// <param name="cluster">The connection.</param>
    /// <param name="id">Id of the image.</param>
    /// <param name="self">This client, as the holder of the lock.</param>
    /// <param name="isTakenOver">Whether the lock was broken to get it.</param>
    /// <param name="loss">Receives the loss of ownership.</param>
    /// <exception cref="BlockException">The cluster does not answer, or the lock is lost already.</exception>
    public static async Task<RbdLease> BeginAsync(RbdCluster cluster, string id, RbdOwner self, bool isTakenOver, OwnershipLoss loss)
    {
        var lease = new RbdLease(cluster, id, self, loss);
        try
        {
            var (_, before) = await lease._object.ReadAsync();
            lease._hasRecord = await lease._object.WriteAsync(self.Id) >= 0 && await lease.WatchAsync();

            // its owner has not closed the image, and its confirmations end with the write
            if (isTakenOver || (before.Owner != 0 && before.Owner != self.Id))
            {
                await Task.Delay(TermOfOthers);
            }

            await lease.ConfirmAsync();
            lease._timer.Change(UsedPeriod, UsedPeriod);
            return lease;
        }
        catch
        {
            await lease.DisposeAsync();
            throw;
        }
    }

    /// <summary>Completes when this process was certainly the owner at some time since the call.</summary>
    /// <exception cref="BlockException">Ownership is lost, or the cluster does not answer.</exception>
    public async ValueTask ConfirmAsync()
    {
        long asked = BootClock.Now;
        while (true)
        {
            _loss.ThrowIfLost();
            if (Volatile.Read(ref _confirmed) >= asked || IsConfirmed)
            {
                return;
            }

            var check = TryCheck() ?? throw new ObjectDisposedException(nameof(RbdLease));
            await (await Task.WhenAny(check, _loss.Lost));
        }
    }

    /// <summary>Ends it, before the lock is released.</summary>
    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync();
        Task last;
        lock (_gate)
        {
            _isEnding = true;
            last = _checking;
        }

        try
        {
            await last;
        }
        catch (BlockException)
        {
            // the image is closed whether it was confirmed or not
        }

        await (_watch?.DisposeAsync() ?? default);
        if (_hasRecord && _loss.Reason is null)
        {
            await _object.RemoveAsync();
        }

        _object.Dispose();
    }

    private static long Nanoseconds(TimeSpan time) => (long)time.TotalNanoseconds;

    private void Tick()
    {
        long age = BootClock.Now - Volatile.Read(ref _confirmed);
        bool isDue = _isUsed ? age > Nanoseconds(UsedPeriod) / 2 : age > Nanoseconds(IdlePeriod);
        _isUsed = false;
        if ((isDue || _isWatchLost) && _loss.Reason is null)
        {
            // a failure is reported to requests, which confirm for themselves
            _ = TryCheck()?.ContinueWith(
                static t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }
    }

    // one at a time; whoever comes while one is running waits for it, and looks again. Null: the lease has ended
    private Task? TryCheck()
    {
        lock (_gate)
        {
            return _isEnding ? null : !_checking.IsCompleted ? _checking : _checking = CheckAsync();
        }
    }

    private async Task CheckAsync()
    {
        await Task.Yield();
        bool isConfirmed = false;
        while (!isConfirmed && _loss.Reason is null)
        {
            isConfirmed = _hasRecord ? await CheckRecordAsync() : await CheckLockAsync();
        }

        if (_isWatchLost && isConfirmed)
        {
            _isWatchLost = false;
            await (_watch?.DisposeAsync() ?? default);
            _watch = null;
            _isWatchLost = !await WatchAsync();
        }
    }

    private async Task<bool> CheckRecordAsync()
    {
        long sent = BootClock.Now;
        var (result, record) = await _object.ReadAsync();
        if (result < 0 && result != RbdErrors.NotFoundResult)
        {
            return Failed(result);
        }

        if (record == new OwnerRecord(_self.Id, 0))
        {
            Volatile.Write(ref _confirmed, sent);
            return true;
        }

        // the record was removed by hand, or by a client that has broken the lock
        if (record.Owner != _self.Id && !await CheckLockAsync())
        {
            return false;
        }

        int written = record.Owner == _self.Id ? await _object.ClearDoubtAsync() : await _object.WriteAsync(_self.Id);
        return written < 0 && Failed(written);
    }

    private async Task<bool> CheckLockAsync()
    {
        long sent = BootClock.Now;
        var (result, holder) = await _lock.ReadAsync();
        if (result < 0 && result != RbdErrors.NotFoundResult)
        {
            return Failed(result);
        }

        if (result < 0 || holder.Client != _self.Id)
        {
            Lose(result < 0 ? "the image was removed"
                : holder.Client == 0 ? "its exclusive lock was broken" : $"client.{holder.Client} has taken its exclusive lock");
            return false;
        }

        if (!_hasRecord)
        {
            Volatile.Write(ref _confirmed, sent);
        }

        return true;
    }

    private bool Failed(int result)
    {
        if (result != RbdErrors.BlocklistedResult)
        {
            throw RbdErrors.Of(result, "cannot confirm the ownership of the image");
        }

        _loss.Set(RbdErrors.Blocklisted);
        return false;
    }

    // without the blocklist, what librbd holds in its cache would be written still
    private void Lose(string reason)
    {
        if (_loss.Set(reason) && _self.Address.Length > 0)
        {
            _ = Task.Run(() => Native.LibRados.AddToBlocklist(_cluster.Handle, _self.Address, 0));
        }
    }

    private async Task<bool> WatchAsync()
    {
        (_watch, int result) = await OwnerWatch.StartAsync(_object, OnWatchLost);
        return result >= 0;
    }

    // also the first sign of being blocklisted
    private void OnWatchLost()
    {
        _isWatchLost = true;
        Tick();
    }
}
