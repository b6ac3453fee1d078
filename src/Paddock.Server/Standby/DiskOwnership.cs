using System.Diagnostics;
using System.Globalization;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Images;
using Paddock.Rbd;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Standby;

/// <summary>
/// Keeps track of who owns the image of one disk: takes it over when its owner has released it or is dead, hands it over on request, and
/// fails all requests when it is lost.
/// </summary>
/// <remarks>
/// The lock of the image decides who the owner is: it is acquired before, and released after, everything else here, so that a process that
/// ends between two steps leaves one owner or none. A hand-over rejects new requests first, waits for those in flight, flushes, and closes.
/// </remarks>
internal sealed class DiskOwnership : IDisposable
{
    private static readonly TimeSpan Seen = TimeSpan.FromMilliseconds(300), CourtesyPause = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan BusyPause = TimeSpan.FromMilliseconds(20), FailurePause = TimeSpan.FromSeconds(1);

    // for clients that read about the hand-over, and that send what they have queued: requests are served meanwhile
    private static readonly TimeSpan NoticeLimit = TimeSpan.FromSeconds(1);

    // for clients that look at the disk after a take-over, while others wait
    private static readonly TimeSpan LookLimit = TimeSpan.FromMilliseconds(500);

    private readonly ServedDisk _disk;
    private readonly ImageOpener _opener;
    private readonly IReadOnlyList<IListener> _listeners;
    private readonly ServeLog _log;
    private readonly bool _waits;
    private readonly AsyncMutex _changing = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _lost = NewSignal();
    private Task _running = Task.CompletedTask;
    private TaskCompletionSource _released = NewSignal();
    private IOwnedStorage? _owned;
    private volatile ImageTurn? _turn;
    private string? _failure;

    // after a hand-over: others go first until then
    private long _notBefore;

    /// <param name="disk">The disk.</param>
    /// <param name="opener">Opens images.</param>
    /// <param name="waits">Whether to wait for the image while another process owns it (<c>--standby</c>).</param>
    /// <param name="listeners">Learn of each change.</param>
    /// <param name="log">Receives a line for each change.</param>
    public DiskOwnership(ServedDisk disk, ImageOpener opener, bool waits, IReadOnlyList<IListener> listeners, ServeLog log)
    {
        _disk = disk;
        _opener = opener;
        _waits = waits;
        _listeners = listeners;
        _log = log;
        _owned = disk.OpenNode is { } node ? OwnedStorage.Of(node.Storage) : null;
    }

    /// <summary>Raised after the state has changed.</summary>
    public event Action? Changed;

    /// <summary>How long a server that has handed an image over leaves it to others.</summary>
    public static TimeSpan Courtesy { get; } = TimeSpan.FromSeconds(3);

    /// <summary>The disk.</summary>
    public ServedDisk Disk => _disk;

    /// <summary>Completes when the image is lost and this server does not wait for it.</summary>
    public Task Lost => _lost.Task;

    /// <summary>The current owner while this server waits for it, for messages; null if unknown.</summary>
    public string? Owner => _turn?.Owner;

    /// <summary>Begins to watch; the listeners exist, and have no clients yet.</summary>
    public void Start()
    {
        Announce();
        if (_waits)
        {
            _log.Write(DiskStateNames.NameOf(_disk.State), ("image", _disk.Settings.Path));
        }

        _running = Task.Run(RunAsync);
    }

    /// <summary>Ends waiting; a disk that is active stays so.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _running;

        // a hand-over in progress
        await _changing.AcquireAsync();
        _changing.Release();
    }

    /// <inheritdoc/>
    public void Dispose() => _stopping.Dispose();

    /// <summary>Releases the image for another server.</summary>
    /// <param name="limit">Time for the requests in flight and for the flush.</param>
    /// <returns>How long the disk was not served here before the image was released.</returns>
    /// <exception cref="ToolException">The disk is not active, or could not be handed over: it is then served as before.</exception>
    public async Task<TimeSpan> HandOverAsync(TimeSpan limit)
    {
        if (!_waits)
        {
            throw new ToolException($"'{_disk.Name}' cannot be handed over: start the server with --standby");
        }

        await _changing.AcquireAsync();
        try
        {
            _disk.ExpectActive();
            long start = Stopwatch.GetTimestamp();
            var image = await DetachAsync(limit);
            string? why = await ServedDisk.CloseAsync(image);
            var taken = Stopwatch.GetElapsedTime(start);
            _notBefore = Stopwatch.GetTimestamp() + (long)(Courtesy.TotalSeconds * Stopwatch.Frequency);
            _released.TrySetResult();
            _log.Write("handed over", ("image", _disk.Settings.Path), ("ms", Milliseconds(taken)));
            return why is null ? taken : throw new ToolException($"'{_disk.Name}' was released, but closing it failed: {why}");
        }
        finally
        {
            _changing.Release();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static string Milliseconds(TimeSpan time) => time.TotalMilliseconds.ToString("F0", CultureInfo.InvariantCulture);

    /// <summary>Whether an image could not be opened because another process owns it.</summary>
    internal static bool IsBusy(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is BlockException { Error: BlockError.Busy })
            {
                return true;
            }
        }

        return false;
    }

    // everything is durable when the disk is detached; closing releases the lock
    private async Task<ImageNode> DetachAsync(TimeSpan limit)
    {
        if (!await _disk.TryBlockCommandsAsync(TimeSpan.Zero))
        {
            throw new ToolException($"'{_disk.Name}' is not handed over: a snapshot or a backup of it is in progress");
        }

        try
        {
            // requests are served meanwhile: their time begins after it, however long clients go on sending
            await Task.WhenAll(_listeners.Select(l => l.AnnounceAsync(_disk, DiskState.Standby, NoticeLimit)));
            long start = Stopwatch.GetTimestamp();
            TimeSpan Left() => TimeSpan.FromTicks(Math.Max(0, (limit - Stopwatch.GetElapsedTime(start)).Ticks));
            Announce(DiskState.Standby);

            // a request that a rule holds would reach the disk after the next take-over
            _disk.Faults.GiveUpAll();
            if (!await _disk.Served.TryBlockAsync(Left()))
            {
                throw StillRunning("requests", limit);
            }

            try
            {
                await FlushAsync(Left(), limit);
                foreach (var listener in _listeners)
                {
                    listener.Disconnect(_disk);
                }

                return _disk.Deactivate(DiskState.Standby, $"'{_disk.Name}' is on standby: it was handed over to another server");
            }
            finally
            {
                _disk.Served.Unblock();
            }
        }
        finally
        {
            _disk.UnblockCommands();
            Announce();
        }
    }

    private async Task FlushAsync(TimeSpan left, TimeSpan limit)
    {
        var flush = _disk.OpenNode!.Device.FlushAsync().AsTask();
        if (await Task.WhenAny(flush, Task.Delay(left)) != flush)
        {
            _ = flush.ContinueWith(static f => f.Exception, TaskScheduler.Default);
            throw StillRunning("the flush", limit);
        }

        try
        {
            await flush;
        }
        catch (BlockException e)
        {
            throw new ToolException($"'{_disk.Name}' is not handed over: what clients wrote could not be made durable: {e.Message}");
        }
    }

    private ToolException StillRunning(string what, TimeSpan limit)
        => new($"'{_disk.Name}' is not handed over: {what} did not end within {limit.TotalSeconds:0.#} s (--drain-timeout); it is still "
            + "served here. To force it, end the server with SIGKILL: the next owner then takes over what was flushed");

    // tells the listeners which state their clients may see
    private void Announce(DiskState? state = null)
    {
        foreach (var listener in _listeners)
        {
            listener.Show(_disk, state ?? _disk.State);
        }

        Changed?.Invoke();
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stopping.IsCancellationRequested && await FollowAsync())
            {
            }
        }
        catch (OperationCanceledException)
        {
            // the server is stopping
        }
    }

    // until the next change; returns whether to wait for another one
    private async Task<bool> FollowAsync()
    {
        try
        {
            if (_disk.State != DiskState.Active)
            {
                await TakeOverAsync();
                return true;
            }

            var lost = _owned?.Lost ?? Task.Delay(Timeout.Infinite, _stopping.Token);
            await Task.WhenAny(lost, _released.Task).WaitAsync(_stopping.Token);
            return _released.Task.IsCompleted || await LoseAsync();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // a server that no longer follows its disk would never take it over
            _log.Write("warning", ("image", _disk.Settings.Path), ("reason", e.Message));
            await Task.Delay(FailurePause, _stopping.Token);
            return true;
        }
    }

    // returns whether to wait for the image
    private async Task<bool> LoseAsync()
    {
        await _changing.AcquireAsync();
        try
        {
            if (_disk.State != DiskState.Active)
            {
                return true;
            }

            string why = _owned?.LossReason ?? "unknown reason";
            var image = _disk.Deactivate(_waits ? DiskState.Standby : DiskState.Lost, $"'{_disk.Name}' was taken over: {why}");
            Announce(DiskState.Lost);
            _log.Write("ownership lost", ("image", _disk.Settings.Path), ("reason", why));
            foreach (var listener in _listeners)
            {
                listener.Disconnect(_disk);
            }

            _disk.Faults.GiveUpAll();
            await _disk.BlockCommandsAsync();
            await _disk.Served.BlockAsync();
            _disk.Served.Unblock();
            _disk.UnblockCommands();

            // its flush fails, as everything does
            await ServedDisk.CloseAsync(image);
            return _waits;
        }
        finally
        {
            _changing.Release();
            if (!_waits)
            {
                _lost.TrySetResult();
            }
        }
    }

    // returns when the disk is active, or to begin again after a failure
    private async Task TakeOverAsync()
    {
        ImageNode? image = null;
        try
        {
            await using var turn = ImageTurn.Of(_disk.Settings.Path, new SuccessionLog(_disk.Settings.Path, _log));
            _turn = turn;
            while (image is null)
            {
                await WaitAsync(turn);
                long start = Stopwatch.GetTimestamp();
                image = await TryOpenAsync();
                if (image is not null)
                {
                    await ActivateAsync(image, start);
                }
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // a corrupt image, or another one: it may come back
            await (image is null || image == _disk.OpenNode ? Task.CompletedTask : ServedDisk.CloseAsync(image));
            if (e.Message != _failure)
            {
                _failure = e.Message;
                _log.Write("take-over failed", ("image", _disk.Settings.Path), ("reason", e.Message));
            }

            await Task.Delay(FailurePause, _stopping.Token);
        }
        finally
        {
            _turn = null;
        }
    }

    // after a hand-over, others go first: until one of them has had the image, or for some time
    private async Task WaitAsync(ImageTurn turn)
    {
        bool isFile = !RbdTarget.IsName(_disk.Settings.Path);
        while (true)
        {
            var waiting = turn.WaitAsync(_stopping.Token);
            await Task.WhenAny(waiting, Task.Delay(Seen, _stopping.Token));
            if (!waiting.IsCompleted && (isFile || turn.Owner is not null))
            {
                _notBefore = 0;
            }

            await waiting;
            if (Stopwatch.GetTimestamp() >= _notBefore)
            {
                return;
            }

            await Task.Delay(CourtesyPause, _stopping.Token);
        }
    }

    // null: another server was quicker
    private async Task<ImageNode?> TryOpenAsync()
    {
        try
        {
            return await _disk.ReopenAsync(_opener);
        }
        catch (Exception e) when (IsBusy(e))
        {
            await Task.Delay(BusyPause, _stopping.Token);
            return null;
        }
    }

    private async Task ActivateAsync(ImageNode image, long start)
    {
        await _changing.AcquireAsync();
        try
        {
            _disk.Activate(image);
            _owned = OwnedStorage.Of(image.Storage);
            _released = NewSignal();
            _failure = null;
            try
            {
                foreach (var listener in _listeners)
                {
                    listener.Resized(_disk);
                }

                await Task.WhenAll(_listeners.Select(l => l.AnnounceAsync(_disk, DiskState.Active, LookLimit)));
            }
            finally
            {
                Announce();
            }

            _log.Write(
                "taken over", ("image", _disk.Settings.Path), ("bytes", _disk.Device.Length.ToString(CultureInfo.InvariantCulture)),
                ("ms", Milliseconds(Stopwatch.GetElapsedTime(start))));
        }
        finally
        {
            _changing.Release();
        }
    }
}
