namespace Paddock.Rbd.Tests;

/// <summary>
/// The owner of an image and the cluster, as a process that waits or the owner itself sees them; time passes in calls only.
/// </summary>
internal sealed class FakeOwner : TimeProvider, IOwnerObject, IContestedLock, IHeaderLock
{
    public const long Self = 1, Owner = 2;

    private static readonly RbdOwner Holder = new(Owner, "127.0.0.1:0/2", 7);

    private Action<long>? _notified;

    /// <summary>Seconds since the start.</summary>
    public double Now { get; private set; }

    /// <summary>What a question to the owner does: seconds until it arrives, until the reply, and whether the owner answers.</summary>
    public Queue<(double Arrival, double Reply, bool IsAnswered)> Questions { get; } = new();

    /// <summary>The record in the object.</summary>
    public OwnerRecord Record { get; set; } = new(Owner, 0);

    /// <summary>Whether the owner removes doubts.</summary>
    public bool RemovesDoubts { get; set; }

    /// <summary>The client that has the lock; 0: none.</summary>
    public long LockedBy { get; set; } = Owner;

    /// <inheritdoc/>
    public long ClientId => Self;

    /// <inheritdoc/>
    public override long TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public override long GetTimestamp() => (long)((Now + 1) * 1e9);

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime >= TimeSpan.Zero)
        {
            Now += dueTime.TotalSeconds;
            ThreadPool.QueueUserWorkItem(_ => callback(state));
        }

        return new NoTimer();
    }

    /// <inheritdoc/>
    public Task<int> CatchUpAsync() => Task.FromResult(0);

    /// <inheritdoc/>
    Task<(int Result, OwnerRecord Record)> IOwnerObject.ReadAsync() => Task.FromResult((OwnerRecord.Size, Record));

    /// <inheritdoc/>
    Task<(int Result, LockHolder Holder)> IHeaderLock.ReadAsync() => Task.FromResult((0, new LockHolder(LockedBy, 7)));

    /// <inheritdoc/>
    public Task<int> WriteAsync(long owner) => Set(new OwnerRecord(owner, 0));

    /// <inheritdoc/>
    public Task<int> ClearDoubtAsync() => Set(Record with { Doubt = 0 });

    /// <inheritdoc/>
    public Task<int> DoubtAsync(long owner, long client)
        => Record.Owner == owner ? Set(Record with { Doubt = client }) : Task.FromResult(-4096);

    /// <inheritdoc/>
    public Task<int> ClearAsync(long owner) => Record.Owner == owner ? Set(default) : Task.FromResult(-4096);

    /// <inheritdoc/>
    public Task<int> RemoveAsync(long owner) => Record.Owner == owner ? Set(default) : Task.FromResult(-4096);

    /// <inheritdoc/>
    public Task<(IAsyncDisposable? Watch, int Result)> WatchAsync(Action failed, Action<long>? notified)
    {
        _notified = notified;
        return Task.FromResult<(IAsyncDisposable?, int)>((new NoTimer(), 0));
    }

    /// <inheritdoc/>
    public Task<NotifyReply?> NotifyAsync(ulong milliseconds)
    {
        var (arrival, reply, isAnswered) = Questions.Dequeue();
        double start = Now;
        Now = start + arrival;
        _notified?.Invoke(Self);
        Now = start + reply;
        Record = RemovesDoubts ? Record with { Doubt = 0 } : Record;
        return Task.FromResult<NotifyReply?>(isAnswered ? new([Self, Owner], []) : new([Self], [Owner]));
    }

    /// <inheritdoc/>
    public Task<LockHolder> ReadHolderAsync() => Task.FromResult(new LockHolder(LockedBy, 7));

    /// <inheritdoc/>
    public Task<RbdOwner?> FindOwnerAsync() => Task.FromResult<RbdOwner?>(LockedBy == 0 ? null : Holder);

    /// <inheritdoc/>
    public Task<bool> IsAliveAsync(RbdOwner owner) => Task.FromResult(true);

    /// <inheritdoc/>
    public Task<bool> BreakAsync(RbdOwner owner)
    {
        LockedBy = 0;
        return Task.FromResult(true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;

    private Task<int> Set(OwnerRecord record)
    {
        Record = record;
        return Task.FromResult(0);
    }

    private sealed class NoTimer : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => default;
    }
}
