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

    // in the second the lock is looked at as well: nothing else shows that it was taken by hand, without blocklisting
    private static readonly TimeSpan UsedPeriod = TimeSpan.FromMilliseconds(300), IdlePeriod = TimeSpan.FromSeconds(2);

    private readonly IOwnerObject _object;
    private readonly IHeaderLock _lock;
    private readonly RbdOwner _self;
    private readonly OwnershipLoss _loss;
    private readonly TimeProvider _clock;
    private readonly Func<RbdOwner, Task> _blocklist;
    private readonly Lock _gate = new();
    private readonly ITimer _timer;
    private IAsyncDisposable? _watch;
    private bool _hasRecord;
    private volatile bool _isWatchLost, _isUsed;
    private bool _isEnding;
    private long _confirmed, _lockRead;
    private Task _checking = Task.CompletedTask, _fencing = Task.CompletedTask;

    /// <param name="owner">The object of the image's owner; owned.</param>
    /// <param name="exclusive">The lock, which is held.</param>
    /// <param name="self">This client, as the holder of the lock.</param>
    /// <param name="loss">Receives the loss of ownership.</param>
    /// <param name="clock">Counts nanoseconds, also while the process is stopped.</param>
    /// <param name="blocklist">Puts this client on the blocklist.</param>
    public RbdLease(
        IOwnerObject owner, IHeaderLock exclusive, RbdOwner self, OwnershipLoss loss, TimeProvider clock, Func<RbdOwner, Task> blocklist)
    {
        (_object, _lock, _self, _loss, _clock, _blocklist) = (owner, exclusive, self, loss, clock, blocklist);
        _timer = clock.CreateTimer(
            static lease => ((RbdLease)lease!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
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

            return _clock.GetTimestamp() - Volatile.Read(ref _confirmed) < Nanoseconds(Term) && _loss.Reason is null;
        }
    }

    /// <summary>Begins the lease of an image in a cluster; the lock is held.</summary>
    /// <param name="cluster">The connection.</param>
    /// <param name="id">Id of the image.</param>
    /// <param name="self">This client, as the holder of the lock.</param>
    /// <param name="isTakenOver">Whether the lock was broken to get it.</param>
    /// <param name="loss">Receives the loss of ownership.</param>
    /// <exception cref="BlockException">The cluster does not answer, or the lock is lost already.</exception>
    public static async Task<RbdLease> BeginAsync(RbdCluster cluster, string id, RbdOwner self, bool isTakenOver, OwnershipLoss loss)
    {
        var owner = new OwnerObject(cluster, id);
        var lease = new RbdLease(
            owner, new HeaderLock(owner.Context, id), self, loss, BootClock.Instance,
            self => Task.Run(() => Native.LibRados.AddToBlocklist(cluster.Handle, self.Address, 0)));
        await lease.BeginAsync(isTakenOver);
        return lease;
    }

    /// <summary>Begins; if it fails, the lease has ended.</summary>
    /// <param name="isTakenOver">Whether the lock was broken to get it.</param>
    /// <exception cref="BlockException">The cluster does not answer, or the lock is lost already.</exception>
    public async Task BeginAsync(bool isTakenOver)
    {
        try
        {
            // who held the lock before may have been blocklisted by another client
            if (await _object.CatchUpAsync() is < 0 and var result)
            {
                throw RbdErrors.Of(result, "cannot read the blocklist of the cluster");
            }

            var (read, before) = await _object.ReadAsync();
            bool isUnknown = read < 0 && read != RbdErrors.NotFoundResult;
            await WriteRecordAsync();

            // its owner has not closed the image, and its confirmations end with the write
            if (isTakenOver || isUnknown || (before.Owner != 0 && before.Owner != _self.Id))
            {
                await Task.Delay(TermOfOthers, _clock);
            }

            await ConfirmAsync();
            _timer.Change(UsedPeriod, UsedPeriod);
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    /// <summary>Completes when this process was certainly the owner at some time since the call.</summary>
    /// <exception cref="BlockException">Ownership is lost, or the cluster does not answer.</exception>
    public async ValueTask ConfirmAsync()
    {
        long asked = _clock.GetTimestamp();
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

    /// <summary>
    /// Ends it, before the lock is released. The owner can be asked until this is disposed: if it is killed meanwhile, that is noticed.
    /// A client whose lock was broken by hand is on the blocklist then, so that closing the image writes nothing.
    /// </summary>
    public async ValueTask EndAsync()
    {
        await _timer.DisposeAsync();
        Task last;
        bool isFirst;
        lock (_gate)
        {
            isFirst = !_isEnding;
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

        await _fencing;
        if (isFirst && _hasRecord && _loss.Reason is null)
        {
            await _object.ClearAsync(_self.Id);
        }
    }

    /// <summary>Removes the object, after the lock was released, unless the next owner has written its record already.</summary>
    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        await (_watch?.DisposeAsync() ?? default);
        if (_hasRecord && _loss.Reason is null)
        {
            await _object.RemoveAsync(0);
        }

        _object.Dispose();
    }

    // a record that nobody can ask about would only delay the next owner
    private async Task WriteRecordAsync()
    {
        if (await _object.WriteAsync(_self.Id) >= 0)
        {
            _hasRecord = await WatchAsync();
            _ = _hasRecord ? 0 : await _object.RemoveAsync(_self.Id);
        }
    }

    private static long Nanoseconds(TimeSpan time) => (long)time.TotalNanoseconds;

    private void Tick()
    {
        long age = _clock.GetTimestamp() - Volatile.Read(ref _confirmed);
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

        if (isConfirmed && _clock.GetTimestamp() - _lockRead > Nanoseconds(IdlePeriod))
        {
            isConfirmed = await CheckLockAsync();
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
        long sent = _clock.GetTimestamp();
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
        long sent = _clock.GetTimestamp();
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

        _lockRead = sent;
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
            _fencing = _blocklist(_self);
        }
    }

    private async Task<bool> WatchAsync()
    {
        (_watch, int result) = await _object.WatchAsync(OnWatchLost);
        return result >= 0;
    }

    // also the first sign of being blocklisted
    private void OnWatchLost()
    {
        _isWatchLost = true;
        Tick();
    }
}
