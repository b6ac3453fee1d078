using System.Threading.Channels;
using Paddock.Block.Serving;

namespace Paddock.Block.Tests;

/// <summary>Who gets a slot when all are taken.</summary>
public sealed class ReceptionTests : IAsyncDisposable
{
    private readonly Channel<Line> _coming = Channel.CreateUnbounded<Line>();
    private readonly Channel<Client> _served = Channel.CreateUnbounded<Client>();
    private Reception<Line, Client> _reception = null!;

    [Theory]
    [InlineData(WhenFull.Wait)]
    [InlineData(WhenFull.Refuse)]
    public async Task The_stranger_that_is_there_longest_makes_room(WhenFull whenFull)
    {
        Open(3, whenFull);
        var clients = new[]
        {
            await ComeAsync(ClientTrust.Stranger, 5000), await ComeAsync(ClientTrust.Stranger, 6000), await ComeAsync(ClientTrust.Served, 99_000_000),
        };
        var last = await ComeAsync(ClientTrust.Stranger, 0);

        Assert.Equal([false, true, false, false], [.. clients.Append(last).Select(c => c.IsGone)]);
    }

    [Theory]
    [InlineData(WhenFull.Wait)]
    [InlineData(WhenFull.Refuse)]
    public async Task Of_those_who_introduced_themselves_one_that_asked_for_nothing_goes_first_then_the_longest_idle(WhenFull whenFull)
    {
        Open(4, whenFull, idle: TimeSpan.FromSeconds(60));
        var clients = new[]
        {
            await ComeAsync(ClientTrust.Served, 90_000), await ComeAsync(ClientTrust.Introduced, 11_000), await ComeAsync(ClientTrust.Served, 70_000),
            await ComeAsync(ClientTrust.Kept, 99_000_000),
        };
        await ComeAsync(ClientTrust.Kept, 0);
        Assert.Equal([false, true, false, false], [.. clients.Select(c => c.IsGone)]);
        await ComeAsync(ClientTrust.Kept, 0);
        Assert.Equal([true, true, false, false], [.. clients.Select(c => c.IsGone)]);
    }

    [Fact]
    public async Task Nobody_is_evicted_who_may_stay_and_who_comes_is_refused()
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
    public async Task Who_waits_is_served_when_a_client_becomes_idle()
    {
        Open(1, WhenFull.Wait, idle: TimeSpan.FromSeconds(60));
        var first = await ComeAsync(ClientTrust.Served, 0);
        var second = ComeAsync(ClientTrust.Served, 0);
        first.Standing = new(ClientTrust.Served, 61_000);
        await second;
        Assert.True(first.IsGone);
    }

    public async ValueTask DisposeAsync()
    {
        await _reception.DisposeAsync();
    }

    private void Open(int limit, WhenFull whenFull, TimeSpan idle = default)
    {
        Reception<Line, Client>? reception = null;
        _reception = reception = new(limit, whenFull, line => new Client(line, c => reception!.Leave(c)), c => _served.Writer.TryWrite(c)) { IdleEviction = idle };
        _reception.Listen(new MemoryStream(), _coming.Reader.ReadAsync);
    }

    private async Task<Client> ComeAsync(ClientTrust trust, long idle)
    {
        _coming.Writer.TryWrite(new Line(trust, idle));
        return await _served.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));
    }

    private sealed class Line(ClientTrust trust, long idle) : IDisposable
    {
        public ClientStanding Standing => new(trust, idle);

        public TaskCompletionSource Closed { get; } = new();

        public void Dispose() => Closed.TrySetResult();
    }

    private sealed class Client(Line line, Action<Client> leave) : IServedClient
    {
        private int _gone;

        public ClientStanding Standing { get; set; } = line.Standing;

        public bool IsGone => Volatile.Read(ref _gone) != 0;

        public void Finish() => Abort();

        public void Abort()
        {
            if (Interlocked.Exchange(ref _gone, 1) == 0)
            {
                leave(this);
            }
        }
    }
}
