using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Handover;

/// <summary>
/// Writes, appends, resets and flushes through whichever server serves the image. When a request fails or is not answered, all stop; the
/// client finds the server that serves the image now, compares the whole disk with what it may contain, and resumes.
/// </summary>
internal sealed class VerifyingClient : IAsyncDisposable
{
    private const int Writers = 6, AppendShare = 60, ResetShare = 2;

    private static readonly TimeSpan SinglePathLimit = TimeSpan.FromMilliseconds(700), ProbeLimit = TimeSpan.FromSeconds(2),
        VerifyLimit = TimeSpan.FromSeconds(30), FlushPause = TimeSpan.FromMilliseconds(30), ProbePause = TimeSpan.FromMilliseconds(20);

    private readonly HandoverOptions _options;
    private readonly IReadOnlyList<ServerNode> _nodes;
    private readonly BlockModel _blocks;
    private readonly AppendModel _appends;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly long _zoneSize;
    private long _number, _requests;
    private long _sentSince = long.MaxValue, _since, _answered;
    private volatile Connection? _without;
    private volatile bool _keepsAll;
    private volatile Connection? _connection;
    private volatile CancellationTokenSource? _load;
    private TaskCompletionSource? _recheck;

    /// <param name="options">The lane.</param>
    /// <param name="nodes">The servers.</param>
    /// <param name="blocks">Blocks of the conventional zones.</param>
    /// <param name="zones">Number of sequential zones.</param>
    /// <param name="zoneSize">Their size, in bytes.</param>
    public VerifyingClient(HandoverOptions options, IReadOnlyList<ServerNode> nodes, int blocks, int zones, int zoneSize)
    {
        _options = options;
        _nodes = nodes;
        _zoneSize = zoneSize;
        _blocks = new BlockModel(blocks);
        _appends = new AppendModel(zones, zoneSize / Pattern.Block);
        _running = Task.Run(RunAsync);
    }

    /// <summary>Number of times that the whole disk was compared.</summary>
    public int Verified { get; private set; }

    /// <summary>Number of requests that have succeeded.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Number of appends that had no answer, and were found on the disk.</summary>
    public int LookedUp => _appends.LookedUp;

    // with several paths, requests wait for the next server
    private TimeSpan AnswerLimit => _options.SeveralPaths ? _options.Patience : SinglePathLimit;

    /// <summary>Waits until the client works with a server, after the disk was compared.</summary>
    /// <returns>The server.</returns>
    /// <exception cref="HandoverException">Data is lost, or no server serves the image.</exception>
    public async Task<ServerNode> SettledAsync()
    {
        var limit = Stopwatch.StartNew();
        while (true)
        {
            if (_running.IsCompleted)
            {
                await _running;
            }

            if (_connection is { } connection && (connection.Node ?? await ActiveAsync()) is { } active)
            {
                return active;
            }

            if (limit.Elapsed > _options.Patience)
            {
                throw new HandoverException($"the client does not recover for {limit.Elapsed.TotalSeconds:0} s");
            }

            await Task.Delay(5);
        }
    }

    /// <summary>Ends the present load, and returns after the whole disk was compared.</summary>
    /// <exception cref="HandoverException">Data is lost, or no server serves the image.</exception>
    public async Task RecheckAsync()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref _recheck, done);
        try
        {
            await (_load?.CancelAsync() ?? Task.CompletedTask);
        }
        catch (ObjectDisposedException)
        {
            // the load has just ended by itself
        }

        await await Task.WhenAny(done.Task, _running);
    }

    /// <summary>Marks a moment: the first answer to a request that is sent later ends the time.</summary>
    /// <param name="keepsAll">Whether nothing that was answered may be lost in what follows.</param>
    /// <param name="reconnected">Whether only answers on another connection than the present one count.</param>
    /// <param name="since">When the time begins: a timestamp, not in the future.</param>
    public void Mark(bool keepsAll, bool reconnected, long since)
    {
        _keepsAll = keepsAll;
        _without = reconnected ? _connection : null;
        _since = since;
        Volatile.Write(ref _answered, 0);
        Volatile.Write(ref _sentSince, Stopwatch.GetTimestamp());
    }

    /// <summary>Waits for the first answer after <see cref="Mark"/>.</summary>
    /// <returns>The time from then until the answer.</returns>
    /// <exception cref="HandoverException">None came, or data is lost.</exception>
    public async Task<TimeSpan> AnsweredAsync()
    {
        var limit = Stopwatch.StartNew();
        while (Volatile.Read(ref _answered) == 0)
        {
            if (_running.IsCompleted)
            {
                await _running;
            }

            if (limit.Elapsed > _options.Patience)
            {
                throw new HandoverException($"no answer for {limit.Elapsed.TotalSeconds:0} s");
            }

            await Task.Delay(1);
        }

        return Stopwatch.GetElapsedTime(_since, Volatile.Read(ref _answered));
    }

    /// <summary>
    /// Reads blocks through a server, which may answer only if it serves the image: not with what is older than flushed data.
    /// </summary>
    /// <exception cref="HandoverException">The server answers with old data.</exception>
    public async Task ProbeStaleAsync(ServerNode node, TimeSpan time)
    {
        var watch = Stopwatch.StartNew();
        byte[] data = new byte[Pattern.Block];
        var random = new Random(_options.Seed);
        while (watch.Elapsed < time)
        {
            int block = random.Next(_blocks.Count);
            long oldest = _blocks.OldestOf(block);
            try
            {
                var connection = await Connection.OpenAsync(node, ProbeLimit);
                await connection.Plain.ReadAsync((long)block * Pattern.Block, data).AsTask().WaitAsync(ProbeLimit);
                connection.Close();
            }
            catch (Exception e) when (e is IOException or TimeoutException or OperationCanceledException)
            {
                await Task.Delay(ProbePause);
                continue;
            }

            if (Pattern.NumberOf(data, _options.Seed) is not { } version || version < oldest)
            {
                throw new HandoverException($"a server that was stopped answers for block {block} with old data; {oldest} was flushed");
            }
        }
    }

    /// <summary>Flushes, compares the disk once more, and ends.</summary>
    public async Task FinishAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(static _ => { }, TaskScheduler.Default);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        Connection? before = null;
        while (true)
        {
            var connection = await FindAsync();
            try
            {
                await VerifyAsync(connection, before).WaitAsync(VerifyLimit);
                before = connection;
                _connection = connection;
                if (_stop.IsCancellationRequested)
                {
                    return;
                }

                while (await LoadAsync(connection) && _options.SeveralPaths && !_stop.IsCancellationRequested)
                {
                    // to be compared. The client has changed the path if necessary; it fails the flush if anything may be lost
                    await FlushAsync(connection);
                    _keepsAll = true;
                    await VerifyAsync(connection, before).WaitAsync(VerifyLimit);
                }

                if (_stop.IsCancellationRequested)
                {
                    await VerifyAsync(connection, before);
                    return;
                }
            }
            catch (Exception e) when (IsLoss(e))
            {
                // the next server, or this one again
            }
            finally
            {
                _connection = null;
                connection.Close();
            }
        }
    }

    private static bool IsLoss(Exception e) => e is BlockException or IOException or TimeoutException or OperationCanceledException;

    // the server that answers first
    private async Task<Connection> FindAsync()
    {
        if (_options.SeveralPaths)
        {
            return await FindPathsAsync();
        }

        var found = new TaskCompletionSource<Connection>(TaskCreationOptions.RunContinuationsAsynchronously);
        foreach (var node in _nodes)
        {
            _ = ProbeAsync(node, found);
        }

        try
        {
            return await found.Task.WaitAsync(_options.Patience);
        }
        catch (TimeoutException)
        {
            // ends the probes
            found.TrySetCanceled();
            throw new HandoverException($"no server serves the image for {_options.Patience.TotalSeconds:0} s");
        }
    }

    private async Task<Connection> FindPathsAsync()
    {
        var limit = Stopwatch.StartNew();
        while (true)
        {
            long sent = Stopwatch.GetTimestamp();
            try
            {
                var connection = await Connection.OpenAsync(_nodes, _options.Patience);
                Answered(sent, connection);
                return connection;
            }
            catch (Exception e) when (e is not HandoverException)
            {
                await (limit.Elapsed < _options.Patience ? Task.Delay(ProbePause)
                    : throw new HandoverException($"no server serves the image for {limit.Elapsed.TotalSeconds:0} s: {e.Message}"));
            }
        }
    }

    // the server that serves the image now, as the servers say; null: none
    private async Task<ServerNode?> ActiveAsync()
    {
        foreach (var node in _nodes.Where(static n => !n.IsDead))
        {
            if (await node.IsAsync("active"))
            {
                return node;
            }
        }

        return null;
    }

    private async Task ProbeAsync(ServerNode node, TaskCompletionSource<Connection> found)
    {
        while (!found.Task.IsCompleted)
        {
            long sent = Stopwatch.GetTimestamp();
            try
            {
                var connection = await Connection.OpenAsync(node, ProbeLimit);
                Answered(sent, connection);
                if (!found.TrySetResult(connection))
                {
                    connection.Close();
                }
            }
            catch (Exception)
            {
                // dead, stopped, or on standby
                await Task.Delay(ProbePause);
            }
        }
    }

    private void Answered(long sent, Connection connection)
    {
        if (sent > Volatile.Read(ref _sentSince) && connection != _without)
        {
            Interlocked.CompareExchange(ref _answered, Stopwatch.GetTimestamp(), 0);
        }
    }

    // all requests end before this returns: answered, failed or abandoned. Returns whether none has failed
    private async Task<bool> LoadAsync(Connection connection)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
        _load = end;
        await (Volatile.Read(ref _recheck) is null ? Task.CompletedTask : end.CancelAsync());
        var all = Enumerable.Range(0, Writers).Select(_ => WriteAsync(connection, failed)).Append(FlushAsync(connection, failed));
        await Task.WhenAll(all.ToArray());
        _load = null;
        return end.IsCancellationRequested;
    }

    private async Task WriteAsync(Connection connection, CancellationTokenSource end)
    {
        await Task.Yield();
        var random = new Random(unchecked(_options.Seed + (int)Interlocked.Increment(ref _number)));
        while (!end.IsCancellationRequested)
        {
            int choice = random.Next(100);
            bool isGood = choice < ResetShare ? await ResetAsync(connection, random)
                : choice < AppendShare ? await AppendAsync(connection, random) : await WriteBlockAsync(connection, random);
            if (!isGood)
            {
                await end.CancelAsync();
            }
        }
    }

    private async Task<bool> WriteBlockAsync(Connection connection, Random random)
    {
        long version = Interlocked.Increment(ref _number);
        if (_blocks.Begin(random, version) is not { } block)
        {
            return true;
        }

        byte[] data = Pattern.Of(_options.Seed, version);
        var (isDone, isAbandoned) = await TryAsync(
            connection, () => connection.Plain.WriteAsync((long)block * Pattern.Block, data).AsTask());
        _blocks.End(block, version, isDone, isAbandoned);
        return isDone;
    }

    private async Task<bool> AppendAsync(Connection connection, Random random)
    {
        long number = Interlocked.Increment(ref _number);
        if (_appends.Begin(random, number) is not { } zone)
        {
            return await ResetAsync(connection, random);
        }

        byte[] data = Pattern.Of(_options.Seed, number);
        long at = -1;
        var (isDone, _) = await TryAsync(connection, async () => at = await connection.Zoned.Zones!.AppendAsync(zone * _zoneSize, data));
        _appends.End(number, isDone ? at / Pattern.Block : null);
        return isDone;
    }

    private async Task<bool> ResetAsync(Connection connection, Random random)
    {
        if (_appends.BeginReset(random) is not { } zone)
        {
            return true;
        }

        var (isDone, _) = await TryAsync(connection, async () =>
        {
            await connection.Zoned.Zones!.ManageAsync(ZoneAction.Reset, zone * _zoneSize, _zoneSize);
            await connection.Zoned.FlushAsync();
        });
        if (isDone)
        {
            _appends.EndReset(zone);
        }

        return isDone;
    }

    private async Task FlushAsync(Connection connection, CancellationTokenSource end)
    {
        while (!end.IsCancellationRequested)
        {
            var (blocks, appends) = (_blocks.Written(), _appends.Written());
            var (isDone, _) = await TryAsync(connection, async () =>
            {
                await connection.Plain.FlushAsync();
                await connection.Zoned.FlushAsync();
            });
            if (!isDone)
            {
                await end.CancelAsync();
                return;
            }

            _blocks.Flushed(blocks);
            _appends.Flushed(appends);
            await Task.Delay(FlushPause);
        }
    }

    private async Task<(bool IsDone, bool IsAbandoned)> TryAsync(Connection connection, Func<Task> request)
    {
        long sent = Stopwatch.GetTimestamp();

        // sending blocks when a server that is stopped has received enough
        var running = Task.Run(request);
        try
        {
            await running.WaitAsync(AnswerLimit);
            Answered(sent, connection);
            Interlocked.Increment(ref _requests);
            return (true, false);
        }
        catch (TimeoutException)
        {
            _ = running.ContinueWith(static r => r.Exception, TaskScheduler.Default);
            return (false, true);
        }
        catch (Exception e) when (IsLoss(e))
        {
            return (false, false);
        }
    }

    // a process that was replaced, or whose image another one has taken, cannot execute old requests any more
    private async Task VerifyAsync(Connection connection, Connection? before)
    {
        bool isFenced = before is not null
            && (_options.SeveralPaths || before.Node != connection.Node || before.Start != connection.Start);
        bool keepsAll = _keepsAll;
        byte[] area = new byte[_blocks.Count * Pattern.Block];
        await ReadAsync(connection.Plain, 0, area);
        for (int i = 0; i < _blocks.Count; i++)
        {
            long version = Pattern.NumberOf(area.AsSpan(i * Pattern.Block, Pattern.Block), _options.Seed)
                ?? throw new HandoverException($"block {i} has data that nobody wrote");
            Expect(_blocks.Found(i, version, keepsAll, isFenced));
        }

        Expect(_appends.Found(await ReadZonesAsync(connection.Zoned), keepsAll, isFenced));
        await FlushAsync(connection);

        // a server that is about to be killed may answer once more
        _keepsAll |= isFenced;
        Verified++;
        Interlocked.Exchange(ref _recheck, null)?.TrySetResult();
    }

    private async Task FlushAsync(Connection connection)
    {
        var (blocks, appends) = (_blocks.Written(), _appends.Written());
        await connection.Plain.FlushAsync();
        await connection.Zoned.FlushAsync();
        _blocks.Flushed(blocks);
        _appends.Flushed(appends);
    }

    private async Task<long[][]> ReadZonesAsync(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[_appends.Zones];
        int count = await disk.Zones!.ReportAsync(0, zones);
        if (count != zones.Length)
        {
            throw new HandoverException($"{count} zones are reported; there were {zones.Length}");
        }

        long[][] found = new long[zones.Length][];
        for (int zone = 0; zone < zones.Length; zone++)
        {
            long start = zones[zone].Start;
            long written = zones[zone].Condition == ZoneCondition.Full ? _zoneSize : zones[zone].WritePointer - start;
            byte[] data = new byte[written];
            await ReadAsync(disk, start, data);
            found[zone] = new long[data.Length / Pattern.Block];
            for (int i = 0; i < found[zone].Length; i++)
            {
                found[zone][i] = Pattern.NumberOf(data.AsSpan(i * Pattern.Block, Pattern.Block), _options.Seed)
                    ?? throw new HandoverException($"zone {zone}, block {i}: data that nobody appended");
            }
        }

        return found;
    }

    private async Task ReadAsync(IBlockDevice disk, long offset, byte[] to)
    {
        const int piece = 256 << 10;
        for (int at = 0; at < to.Length; at += piece)
        {

            // sending blocks when a server that is stopped has received enough
            int start = at;
            await Task.Run(() => disk.ReadAsync(offset + start, to.AsMemory(start, Math.Min(piece, to.Length - start))).AsTask())
                .WaitAsync(AnswerLimit);
        }
    }

    private static void Expect(string? wrong)
    {
        if (wrong is not null)
        {
            throw new HandoverException(wrong);
        }
    }
}
