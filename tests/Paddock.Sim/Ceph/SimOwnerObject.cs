using Paddock.Block;
using Paddock.Rbd;

namespace Paddock.Sim.Ceph;

/// <summary>The object that owners of the image watch, in the simulated cluster.</summary>
internal sealed class OwnerCell
{
    private readonly List<(ClusterClient Client, Action Failed, Action<long>? Notified)> _watchers = [];
    private OwnerRecord? _record;

    /// <summary>The record; null: the object does not exist.</summary>
    public OwnerRecord? Record
    {
        get => _record;
        set
        {
            _record = value;
            if (value is null)
            {
                End(static _ => true);
            }
        }
    }

    /// <summary>A client watches the object.</summary>
    public void Watch(ClusterClient client, Action failed, Action<long>? notified) => _watchers.Add((client, failed, notified));

    /// <summary>A client does not watch the object any more.</summary>
    public void Unwatch(Action failed) => _watchers.RemoveAll(watcher => watcher.Failed == failed);

    /// <summary>Ends watches, as of clients that are fenced.</summary>
    public void End(Func<ClusterClient, bool> which)
    {
        foreach (var (client, failed, _) in _watchers.FindAll(watcher => which(watcher.Client)))
        {
            _watchers.RemoveAll(watcher => watcher.Failed == failed);
            client.Link.Send(client.Process, failed);
        }
    }

    /// <summary>Notifies all watchers.</summary>
    /// <param name="time">Time of the simulation.</param>
    /// <param name="timeout">Microseconds.</param>
    /// <param name="notifier">The client that notifies.</param>
    public Task<NotifyReply> NotifyAsync(VirtualTime time, long timeout, long notifier)
    {
        var end = new TaskCompletionSource<NotifyReply>();
        var silent = _watchers.Select(static watcher => (long)watcher.Client.Id).ToList();
        var answered = new List<long>();
        foreach (var (client, _, notified) in _watchers.Where(static watcher => !watcher.Client.Process.IsDeaf))
        {
            client.Link.Send(client.Process, () =>
            {
                notified?.Invoke(notifier);
                client.Link.Send(null, () => Answer(client));
            });
        }

        time.After(timeout, null, () => end.TrySetResult(new NotifyReply([.. answered], [.. silent])));
        return end.Task;

        void Answer(ClusterClient client)
        {
            if (silent.Remove(client.Id))
            {
                answered.Add(client.Id);
            }

            if (silent.Count == 0)
            {
                end.TrySetResult(new NotifyReply([.. answered], []));
            }
        }
    }
}

/// <summary>The object that owners of the image watch, as a client sees it.</summary>
/// <param name="client">The client.</param>
/// <param name="flaw">Rule that is broken on purpose.</param>
internal sealed class SimOwnerObject(ClusterClient client, HandoverFlaw flaw) : IOwnerObject
{
    private const int Blocklisted = -108, NotFound = -2, Differs = -4096;

    private SimCluster Cluster => client.Cluster;

    private OwnerCell Cell => client.Cluster.OwnerCell;

    /// <inheritdoc/>
    public long ClientId => client.Id;

    /// <inheritdoc/>
    public Task<int> CatchUpAsync() => flaw == HandoverFlaw.OldEpoch ? Task.FromResult(0) : client.CatchUpAsync();

    /// <inheritdoc/>
    public Task<(int Result, OwnerRecord Record)> ReadAsync()
        => CallAsync(() => Cell.Record is { } record ? (OwnerRecord.Size, record) : (NotFound, default), static error => (error, default));

    /// <inheritdoc/>
    public Task<int> WriteAsync(long owner) => ChangeAsync(static _ => true, _ => new OwnerRecord(owner, 0), creates: true);

    /// <inheritdoc/>
    public Task<int> ClearDoubtAsync() => ChangeAsync(static _ => true, static record => record with { Doubt = 0 }, creates: true);

    /// <inheritdoc/>
    public Task<int> DoubtAsync(long owner, long client)
        => ChangeAsync(record => record.Owner == owner, record => record with { Doubt = client });

    /// <inheritdoc/>
    public Task<int> ClearAsync(long owner) => ChangeAsync(record => record.Owner == owner, static _ => default);

    /// <inheritdoc/>
    public Task<int> RemoveAsync(long owner) => CallAsync(() =>
    {
        if (Cell.Record is not { } record)
        {
            return NotFound;
        }

        if (record.Owner != owner)
        {
            return Differs;
        }

        Cell.Record = null;
        return 0;
    }, static error => error);

    /// <inheritdoc/>
    public async Task<(IAsyncDisposable? Watch, int Result)> WatchAsync(Action failed, Action<long>? notified)
    {
        // a delegate of its own, by which the watch is known
        Action mine = () => failed();
        int result = await CallAsync(() =>
        {
            if (Cell.Record is null)
            {
                return NotFound;
            }

            Cell.Watch(client, mine, notified);
            return 0;
        }, static error => error);
        return (result < 0 ? null : new SimWatch(this, mine), result);
    }

    /// <inheritdoc/>
    public async Task<NotifyReply?> NotifyAsync(ulong milliseconds)
    {
        var reply = await CallAsync(
            () => Cell.Record is null ? null
                : Cell.NotifyAsync(client.Process.Time, (long)milliseconds * VirtualTime.Millisecond, client.Id),
            static _ => null);
        if (reply is null)
        {
            return null;
        }

        // the reply takes its time too
        var result = await reply;
        return await CallAsync(() => result, static _ => null!);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private Task<int> ChangeAsync(Func<OwnerRecord, bool> applies, Func<OwnerRecord, OwnerRecord> change, bool creates = false)
        => CallAsync(() =>
        {
            if (Cell.Record is null && !creates)
            {
                return NotFound;
            }

            var record = Cell.Record ?? default;
            if (!applies(record))
            {
                return Differs;
            }

            Cell.Record = change(record);
            return 0;
        }, static error => error);

    private async Task<T> CallAsync<T>(Func<T> action, Func<int, T> failure)
    {
        try
        {
            return await client.CallAsync(Cluster.OwnerOsd, action);
        }
        catch (BlockException)
        {
            return failure(Blocklisted);
        }
    }

    private sealed class SimWatch(SimOwnerObject owner, Action failed) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await owner.CallAsync(() =>
        {
            owner.Cell.Unwatch(failed);
            return 0;
        }, static error => error);
    }
}
