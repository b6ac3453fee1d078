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

    /// <summary>Its owner has not answered once.</summary>
    Suspected,
}

/// <summary>
/// Observes the owner of an image, and fences one that does not answer questions that the cluster has certainly passed on. The owner's
/// client is blocklisted before its lock is broken, and what it may still answer from memory is over when the image is free.
/// </summary>
internal sealed class RbdSuccession : IAsyncDisposable
{
    // more are needed of an owner that has never answered here: the cluster may have been disturbed just before
    private const int SignsOfDeath = 2, SignsOfDeathAtFirst = 4;

    private static readonly TimeSpan LockPeriod = TimeSpan.FromSeconds(2);

    private readonly IOwnerObject _object;
    private readonly OwnerProbe _probe;
    private readonly IContestedLock _lock;
    private readonly TimeProvider _clock;
    private bool _hasAnswered, _isAnswering;
    private int _silent;
    private long _doubted, _lockRead;

    /// <param name="exclusive">The lock; owned.</param>
    /// <param name="owner">The object of the image's owner; owned.</param>
    /// <param name="clock">Counts nanoseconds, also while the process is stopped.</param>
    public RbdSuccession(IContestedLock exclusive, IOwnerObject owner, TimeProvider clock)
    {
        (_lock, _object, _clock) = (exclusive, owner, clock);
        _probe = new OwnerProbe(owner, clock);
    }

    /// <summary>The owner that was last seen; null if nobody owns the image.</summary>
    public RbdOwner? Owner { get; private set; }

    /// <summary>Connects; waits for the cluster.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public static RbdSuccession Open(RbdTarget target)
    {
        var exclusive = RbdContestedLock.Open(target);
        return new RbdSuccession(exclusive, new OwnerObject(exclusive.Cluster, exclusive.Id), BootClock.Instance);
    }

    /// <summary>Looks at the lock, asks its holder, and fences it if it does not answer for the second time.</summary>
    public async Task<SuccessionState> LookAsync()
    {
        var state = await JudgeAsync();
        if (state == SuccessionState.Free)
        {
            (_silent, _isAnswering, Owner) = (0, false, null);
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
        bool isRead = !_isAnswering || _clock.GetTimestamp() - _lockRead > LockPeriod.TotalNanoseconds;
        if (isRead && await IsFreeAsync())
        {
            return SuccessionState.Free;
        }

        var owner = Owner!;
        var sign = await _probe.AskAsync(owner.Id);
        _isAnswering = sign == OwnerSign.Answered;
        switch (sign)
        {
            case OwnerSign.Silent when ++_silent >= (_hasAnswered ? SignsOfDeath : SignsOfDeathAtFirst):
                return await FenceAsync(owner) ? SuccessionState.Free : SuccessionState.Owned;
            case OwnerSign.Silent:
                // written once: if it is there at the end, the lease was not renewed since
                await (_silent == 1 ? DoubtAsync(owner) : Task.CompletedTask);
                return SuccessionState.Suspected;
            case OwnerSign.NoLease when isRead:
                // the cluster's own judgement, after its timeout for watches; whoever opens the image then breaks the lock
                _silent = 0;
                return await _lock.IsAliveAsync(owner) ? SuccessionState.Owned : SuccessionState.Free;
            case OwnerSign.Answered:
                _hasAnswered = true;
                goto default;
            default:
                _silent = 0;
                return SuccessionState.Owned;
        }
    }

    private async Task<bool> IsFreeAsync()
    {
        _lockRead = _clock.GetTimestamp();
        long client = (await _lock.ReadHolderAsync()).Client;
        if (client != 0 && Owner?.Id != client)
        {
            (_silent, _doubted, _hasAnswered) = (0, 0, false);
            Owner = await _lock.FindOwnerAsync();
        }

        return client == 0 || Owner is null;
    }

    // from here on the owner, if it runs after all, cannot prolong its lease without removing the doubt
    private async Task DoubtAsync(RbdOwner owner)
    {
        bool isWritten = await _object.DoubtAsync(owner.Id, _object.ClientId) >= 0;
        _doubted = isWritten ? _clock.GetTimestamp() : 0;
    }

    private async Task<bool> FenceAsync(RbdOwner owner)
    {
        _silent = 0;
        if (!await _lock.BreakAsync(owner))
        {
            return false;
        }

        // who finds the record of another owner waits as well, so it stays until the lease is over
        var (result, record) = await _object.ReadAsync();
        if (_doubted == 0 || result < 0 || record != new OwnerRecord(owner.Id, _object.ClientId))
        {
            _doubted = _clock.GetTimestamp();
        }

        // the lease is over when it would be if it had been confirmed at that time
        var rest = RbdLease.TermOfOthers - TimeSpan.FromTicks((_clock.GetTimestamp() - _doubted) / TimeSpan.NanosecondsPerTick);
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, _clock);
        }

        _ = await _object.ClearAsync(owner.Id);
        return true;
    }
}
