using System.Threading.Channels;

namespace Paddock.Serving.Tests;

/// <summary>Assignment of slots when all are taken.</summary>
public sealed class ReceptionTests : IAsyncDisposable
{
    private readonly Channel<Line> _coming = Channel.CreateUnbounded<Line>();
    private readonly Channel<Client> _served = Channel.CreateUnbounded<Client>();
    private Reception<Line, Client> _reception = null!;

    [Theory]
    [InlineData(WhenFull.Wait)]
    [InlineData(WhenFull.Refuse)]
    public async Task Longest_connected_unauthenticated_client_is_evicted(object policy)
    {
        var whenFull = (WhenFull)policy;
        Open(3, whenFull);
        var clients = new[]
        {
            await ComeAsync(ClientTrust.Stranger, 5000), await ComeAsync(ClientTrust.Stranger, 6000),
                await ComeAsync(ClientTrust.Served, 99_000_000),
        };
        var last = await ComeAsync(ClientTrust.Stranger, 0);

        Assert.Equal([false, true, false, false], [.. clients.Append(last).Select(c => c.IsGone)]);
    }

    [Theory]
    [InlineData(WhenFull.Wait)]
    [InlineData(WhenFull.Refuse)]
    public async Task Client_without_requests_is_evicted_before_the_longest_idle(object policy)
    {
        var whenFull = (WhenFull)policy;
        Open(4, whenFull, idle: TimeSpan.FromSeconds(60));
        var clients = new[]
        {
            await ComeAsync(ClientTrust.Served, 90_000), await ComeAsync(ClientTrust.Introduced, 11_000),
                await ComeAsync(ClientTrust.Served, 70_000),
            await ComeAsync(ClientTrust.Kept, 99_000_000),
        };
        await ComeAsync(ClientTrust.Kept, 0);
        Assert.Equal([false, true, false, false], [.. clients.Select(c => c.IsGone)]);
        await ComeAsync(ClientTrust.Kept, 0);
        Assert.Equal([true, true, false, false], [.. clients.Select(c => c.IsGone)]);
    }

    [Fact]
    public async Task New_client_is_rejected_if_none_can_be_evicted()
    {
        Open(4, WhenFull.Refuse);
        foreach (var trust in Enum.GetValues<ClientTrust>())
        {
            await ComeAsync(trust, trust == ClientTrust.Stranger ? 0 : 99_000_000);
        }

        var line = new Line(ClientTrust.Stranger, 0);
        _coming.Writer.TryWrite(line);
        await line.Closed.Task.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.DoesNotContain(_reception.Clients, c => c.IsGone);
    }

    [Fact]
    public async Task Waiting_client_is_served_when_another_becomes_idle()
    {
        Open(1, WhenFull.Wait, idle: TimeSpan.FromSeconds(60));
        var first = await ComeAsync(ClientTrust.Served, 0);
        var second = ComeAsync(ClientTrust.Served, 0);
        first.Standing = new(ClientTrust.Served, 61_000);
        await second;
        Assert.True(first.IsGone);
    }

    [Fact]
    public async Task Waiting_client_evicts_only_one_even_if_that_one_leaves_late()
    {
        // the hasty reception shows that the patient one had the time to evict another client
        await using Room patient = new(TimeSpan.FromHours(1)), hasty = new(TimeSpan.FromMilliseconds(100));
        await patient.FillAsync(2);
        await hasty.FillAsync(2);
        Assert.Equal(2, await hasty.EvictionsAsync(2));
        Assert.Equal(1, await patient.EvictionsAsync(1));
    }

    [Fact]
    public async Task Wait_for_no_clients_ends_when_the_last_one_leaves()
    {
        Open(2, WhenFull.Refuse);
        await _reception.GoneAsync(TimeSpan.FromSeconds(60));
        var first = await ComeAsync(ClientTrust.Served, 0);
        var second = await ComeAsync(ClientTrust.Served, 0);
        var gone = _reception.GoneAsync(TimeSpan.FromSeconds(60));
        first.Finish();
        Assert.False(gone.IsCompleted);
        second.Finish();
        await gone.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(0, _reception.Count);
    }

    [Fact]
    public async Task Wait_for_no_clients_ends_at_its_limit()
    {
        Open(2, WhenFull.Refuse);
        await ComeAsync(ClientTrust.Served, 0);
        await _reception.GoneAsync(TimeSpan.FromMilliseconds(1));
        Assert.Equal(1, _reception.Count);
    }

    [Fact]
    public async Task Client_that_cannot_be_served_is_discarded()
    {
        var discarded = new List<Client>();
        var reception = _reception = new(
            3, WhenFull.Refuse, line => new Client(line, _ => { }),
            c => throw new InsufficientMemoryException("no thread"), discarded.Add);
        _reception.Listen(new MemoryStream(), _coming.Reader.ReadAsync);
        var line = new Line(ClientTrust.Stranger, 0);
        _coming.Writer.TryWrite(line);
        await line.Closed.Task.WaitAsync(TimeSpan.FromSeconds(60));
        var another = new Line(ClientTrust.Stranger, 0);
        Assert.Throws<InsufficientMemoryException>(() => reception.Take(another));
        Assert.Equal(2, discarded.Count);
        await reception.StopAsync(TimeSpan.Zero);
        reception.Take(new Line(ClientTrust.Stranger, 0));
        Assert.Equal(3, discarded.Count);
    }

    public async ValueTask DisposeAsync()
    {
        await (_reception?.DisposeAsync() ?? default);
    }

    private void Open(int limit, WhenFull whenFull, TimeSpan idle = default)
    {
        Reception<Line, Client>? reception = null;
        _reception = reception = new(
            limit, whenFull, line => new Client(line, c => reception!.Leave(c)), c => _served.Writer.TryWrite(c)) { IdleEviction = idle };
        _reception.Listen(new MemoryStream(), _coming.Reader.ReadAsync);
    }

    private async Task<Client> ComeAsync(ClientTrust trust, long idle)
    {
        _coming.Writer.TryWrite(new Line(trust, idle));
        return await _served.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));
    }

    /// <summary>A full reception whose untrusted clients disconnect late, and one waiting client.</summary>
    private sealed class Room(TimeSpan patience) : IAsyncDisposable
    {
        private readonly Channel<Line> _coming = Channel.CreateUnbounded<Line>();
        private readonly Channel<Client> _evicted = Channel.CreateUnbounded<Client>();
        private Reception<Line, Client> _reception = null!;

        public async Task FillAsync(int places)
        {
            var served = Channel.CreateUnbounded<Client>();
            Reception<Line, Client>? reception = null;
            _reception = reception = new(
                places, WhenFull.Refuse, line
                    => new Client(line, c => reception!.Leave(c)) { LeavesLate = true }, c => served.Writer.TryWrite(c))
            {
                LeavingPatience = patience,
            };
            _reception.Evicted += c => _evicted.Writer.TryWrite(c);
            _reception.Listen(new MemoryStream(), _coming.Reader.ReadAsync);
            for (int i = 0; i <= places; i++)
            {
                _coming.Writer.TryWrite(new Line(ClientTrust.Stranger, 5000));
                _ = i < places ? await served.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60)) : null;
            }
        }

        /// <summary>Waits for a number of evictions, and returns the total.</summary>
        public async Task<int> EvictionsAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                await _evicted.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));
            }

            return count + _evicted.Reader.Count;
        }

        public ValueTask DisposeAsync() => _reception.DisposeAsync();
    }

    private sealed class Line(ClientTrust trust, long idle) : IDisposable
    {
        public ClientStanding Standing => new(trust, idle);

        public TaskCompletionSource Closed { get; } = new();

        public void Dispose() => Closed.TrySetResult();
    }

    private sealed class Client(Line line, Action<Client> leave) : IServedClient
    {
        private int _gone, _left;

        public bool LeavesLate { get; init; }

        public ClientStanding Standing { get; set; } = line.Standing;

        public bool IsGone => Volatile.Read(ref _gone) != 0;

        public void Finish()
        {
            Volatile.Write(ref _gone, 1);
            if (Interlocked.Exchange(ref _left, 1) == 0)
            {
                leave(this);
            }
        }

        public void Abort()
        {
            Volatile.Write(ref _gone, 1);
            if (!LeavesLate)
            {
                Finish();
            }
        }
    }
}
