namespace Paddock.Rbd;

/// <summary>What a question to the owner of an image has shown.</summary>
internal enum OwnerSign
{
    /// <summary>The owner runs.</summary>
    Answered,

    /// <summary>The cluster has passed the question on, and the owner has not answered in time.</summary>
    Silent,

    /// <summary>Nothing is shown: the question itself took its time.</summary>
    Unclear,

    /// <summary>Nothing is shown, nor by the questions before: the cluster does not answer in time, or did not until now.</summary>
    Disturbed,

    /// <summary>The owner cannot be asked: it is not Paddock, or has no right to watch an object of its own.</summary>
    NoLease,
}

/// <summary>
/// Asks the owner of an image whether it runs. Whoever asks watches the same object and must have its own answer counted, or the question
/// proves nothing: an OSD that is stopped, restarted or slow delays both.
/// </summary>
/// <param name="owner">The object; owned by the caller.</param>
/// <param name="clock">Counts nanoseconds.</param>
internal sealed class OwnerProbe(IOwnerObject owner, TimeProvider clock) : IAsyncDisposable
{
    // the cluster counts in whole seconds
    private const ulong TimeoutMilliseconds = 1000;

    private const int NotPermitted = -1, NoAccess = -13;

    // a question arrives within a millisecond, and the cluster reports a missing answer after its timeout. An owner that runs and was
    // out of reach looks at its record, and thereby connects again, within 2.3 s
    private static readonly long SlowQuestion = Nanoseconds(0.5), SlowReply = Nanoseconds(1.7), Settling = Nanoseconds(2.5);

    private IAsyncDisposable? _watch;
    private volatile bool _isWatchLost;
    private long _settled;

    // when our own question came back to us; 0: not yet
    private long _arrived;

    /// <summary>Completes when the object was removed: the image is being closed.</summary>
    public TaskCompletionSource Changed { get; private set; } = NewChange();

    /// <summary>Asks, for at most about a second unless the cluster is slow; one call at a time.</summary>
    /// <param name="client">Number of the owner.</param>
    public async Task<OwnerSign> AskAsync(long client)
    {
        int watched = await WatchAsync();
        if (watched < 0)
        {
            // neither the object nor the right to watch it
            return watched is RbdErrors.NotFoundResult or NotPermitted or NoAccess ? OwnerSign.NoLease : OwnerSign.Disturbed;
        }

        Volatile.Write(ref _arrived, 0);
        long sent = clock.GetTimestamp();
        var reply = await owner.NotifyAsync(TimeoutMilliseconds);
        long now = clock.GetTimestamp(), arrived = Volatile.Read(ref _arrived);
        if (reply?.Answered.Contains(owner.ClientId) != true || arrived == 0)
        {
            // without its watch, the object was removed: the image is being closed
            _settled = _isWatchLost ? _settled : now + Settling;
            return OwnerSign.Disturbed;
        }

        _settled = now - sent > SlowReply ? now + Settling : _settled;
        return reply.Answered.Contains(client) ? OwnerSign.Answered
            : !reply.Silent.Contains(client) ? OwnerSign.NoLease
            : now < _settled ? OwnerSign.Disturbed

            // the owner had less time for its answer
            : arrived - sent > SlowQuestion ? OwnerSign.Unclear : OwnerSign.Silent;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _watch?.DisposeAsync() ?? default;

    private static long Nanoseconds(double seconds) => (long)(seconds * 1e9);

    private static TaskCompletionSource NewChange() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task<int> WatchAsync()
    {
        if (_isWatchLost)
        {
            _isWatchLost = false;
            Changed = NewChange();
            await (_watch?.DisposeAsync() ?? default);
            _watch = null;
        }

        if (_watch is not null)
        {
            return 0;
        }

        (_watch, int result) = await owner.WatchAsync(OnWatchLost, OnNotified);
        return result;
    }

    private void OnNotified(long client)
    {
        if (client == owner.ClientId)
        {
            Volatile.Write(ref _arrived, clock.GetTimestamp());
        }
    }

    private void OnWatchLost()
    {
        _isWatchLost = true;
        Changed.TrySetResult();
    }
}
