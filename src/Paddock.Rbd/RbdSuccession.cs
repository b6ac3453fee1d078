using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Rbd;

/// <summary>Whether an image can be taken.</summary>
internal enum SuccessionState
{
    /// <summary>Nobody owns it, or its owner has been fenced.</summary>
    Free,

    /// <summary>Its owner runs, or may run.</summary>
    Owned,

    /// <summary>Its owner has not answered, and is to be asked again at once.</summary>
    Suspected,
}

/// <summary>
/// Observes the owner of an image, and fences one that does not answer questions that the cluster has certainly passed on. The owner's
/// client is blocklisted before its lock is broken, and what it may still answer from memory is over when the image is free.
/// </summary>
internal sealed class RbdSuccession : IAsyncDisposable
{
    private const int SignsOfDeath = 2;

    private static readonly TimeSpan LockPeriod = TimeSpan.FromSeconds(2);

    private readonly IOwnerObject _object;
    private readonly OwnerProbe _probe;
    private readonly IContestedLock _lock;
    private readonly TimeProvider _clock;
    private readonly ISuccessionObserver? _observer;
    private OwnerSign _sign = OwnerSign.Disturbed;
    private int _silent;
    private long _doubted, _lockRead;

    // the record as it was at the time of the doubt; while it stays so, the lease is not renewed
    private OwnerRecord _doubtful;

    /// <param name="exclusive">The lock; owned.</param>
    /// <param name="owner">The object of the image's owner; owned.</param>
    /// <param name="clock">Counts nanoseconds, also while the process is stopped.</param>
    /// <param name="observer">Receives the signs of a dead owner; null: nobody.</param>
    public RbdSuccession(IContestedLock exclusive, IOwnerObject owner, TimeProvider clock, ISuccessionObserver? observer = null)
    {
        (_lock, _object, _clock, _observer) = (exclusive, owner, clock, observer);
        _probe = new OwnerProbe(owner, clock);
    }

    /// <summary>The owner that was last seen; null if nobody owns the image.</summary>
    public RbdOwner? Owner { get; private set; }

    /// <summary>Connects; waits for the cluster.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public static RbdSuccession Open(RbdTarget target, ISuccessionObserver? observer = null)
    {
        var exclusive = RbdContestedLock.Open(target);
        return new RbdSuccession(exclusive, new OwnerObject(exclusive.Cluster, exclusive.Id), BootClock.Instance, observer);
    }

    /// <summary>Looks at the lock, asks its holder, and fences it if it does not answer for the second time.</summary>
    public async Task<SuccessionState> LookAsync()
    {
        var state = await JudgeAsync();
        if (state == SuccessionState.Free)
        {
            (_silent, _doubted, _sign, Owner) = (0, 0, OwnerSign.Disturbed, null);
        }

        return state;
    }

    /// <summary>Waits for a sign that the owner is closing the image.</summary>
    /// <param name="limit">How long at most.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Whether there was one.</returns>
    public async Task<bool> IsChangedAsync(TimeSpan limit, CancellationToken cancellationToken)
    {
        var changed = _probe.Changed.Task;
        return await Task.WhenAny(changed, Task.Delay(limit, _clock, cancellationToken)) == changed
            || (cancellationToken.IsCancellationRequested ? throw new OperationCanceledException(cancellationToken) : false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _probe.DisposeAsync();
        _object.Dispose();
        await _lock.DisposeAsync();
    }

    private async Task<SuccessionState> JudgeAsync()
    {
        // an owner that answers has the lock, mostly: when it closes the image, it stops answering first
        bool isRead = _sign != OwnerSign.Answered || _clock.GetTimestamp() - _lockRead > LockPeriod.TotalNanoseconds;
        if (isRead && await IsFreeAsync())
        {
            return SuccessionState.Free;
        }

        var owner = Owner!;
        bool isDoubtful = _sign is not (OwnerSign.Answered or OwnerSign.NoLease) && (_silent == 0 || _doubted == 0);
        await (isDoubtful ? DoubtAsync(owner) : Task.CompletedTask);
        long asked = _clock.GetTimestamp();
        _sign = await _probe.AskAsync(owner.Id);
        if (_sign != OwnerSign.Answered)
        {
            _observer?.Unanswered(owner, _sign, Since(asked));
        }

        switch (_sign)
        {
            case OwnerSign.Silent when _doubted != 0 && await ReadRecordAsync() == new OwnerRecord(owner.Id, 0):
                // it has removed the doubt since the question, so it ran, and may have died meanwhile
                (_silent, _doubted) = (0, 0);
                return SuccessionState.Suspected;
            case OwnerSign.Silent:
                return ++_silent < SignsOfDeath ? SuccessionState.Suspected
                    : await FenceAsync(owner) ? SuccessionState.Free : SuccessionState.Owned;
            case OwnerSign.Unclear:
                return _silent > 0 ? SuccessionState.Suspected : SuccessionState.Owned;
            case OwnerSign.NoLease when isRead && !await _lock.IsAliveAsync(owner):
                // the cluster has judged, after its timeout for watches; whoever opens the image breaks the lock
                return SuccessionState.Free;
            default:
                (_silent, _doubted) = (0, 0);
                return SuccessionState.Owned;
        }
    }

    private async Task<bool> IsFreeAsync()
    {
        _lockRead = _clock.GetTimestamp();
        long client = (await _lock.ReadHolderAsync()).Client;
        if (client != 0 && Owner?.Id != client)
        {
            (_silent, _doubted) = (0, 0);
            Owner = await _lock.FindOwnerAsync();
        }

        return client == 0 || Owner is null;
    }

    // from here on the owner, if it runs after all, cannot prolong its lease without changing the record
    private async Task DoubtAsync(RbdOwner owner)
    {
        _doubtful = new OwnerRecord(owner.Id, _object.ClientId);
        if (await _object.DoubtAsync(owner.Id, _object.ClientId) >= 0)
        {
            _doubted = _clock.GetTimestamp();
            return;
        }

        // an owner that is closing the image has emptied it, and may die before it releases the lock
        long start = _clock.GetTimestamp();
        (_doubtful, _doubted) = (default, await ReadRecordAsync() == default(OwnerRecord) ? start : 0);
    }

    private async Task<bool> FenceAsync(RbdOwner owner)
    {
        long doubted = _doubted;
        (_silent, _doubted) = (0, 0);
        long start = _clock.GetTimestamp();
        if (!await _lock.BreakAsync(owner))
        {
            return false;
        }

        var breaking = Since(start);

        // who finds the record of another owner waits as well, so it stays until the lease is over
        if (doubted == 0 || await ReadRecordAsync() != _doubtful)
        {
            doubted = _clock.GetTimestamp();
        }

        // the lease is over when it would be if it had been confirmed at that time
        var rest = RbdLease.TermOfOthers - Since(doubted);
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, _clock);
        }

        _ = await _object.ClearAsync(owner.Id);
        _observer?.Fenced(owner, breaking, rest > TimeSpan.Zero ? rest : TimeSpan.Zero);
        return true;
    }

    // null: unknown. Without the object, it is empty
    private async Task<OwnerRecord?> ReadRecordAsync()
    {
        var (result, record) = await _object.ReadAsync();
        return result >= 0 || result == RbdErrors.NotFoundResult ? record : null;
    }

    private TimeSpan Since(long timestamp) => _clock.GetElapsedTime(timestamp);
}
