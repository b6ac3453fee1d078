using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>A client that never negotiates is disconnected at the limit; a front end that has may be idle.</summary>
public class HandshakeLimitTests
{
    private const ulong GuestAt = 0x10_0000;

    [Fact]
    public async Task Client_without_negotiation_is_disconnected_and_the_next_is_served()
    {
        var time = new HandClock();
        await using var bench = new Bench(handshakeLimit: TimeSpan.FromSeconds(10), time: time);
        using var ram = new GuestRam(GuestAt, 4 << 20);
        using var stranger = bench.Connect(ram);
        stranger.AskNumber(FrontEndRequest.GetFeatures);
        stranger.SendRaw([1, 2, 3]);
        time.Fire();
        Assert.True(stranger.IsHungUp());
        var (frontEnd, ring) = bench.Start(ram);
        using (frontEnd)
        using (ring)
        {
            // the limit ends when features are negotiated
            time.Fire();
            frontEnd.Write(ring, 0, new byte[512]);
        }

        Assert.Contains("it agreed on nothing for 10 s", bench.Log, StringComparison.Ordinal);
        Assert.Equal((2L, 1L), (bench.Server.Accepted, bench.Server.Refused));
    }

    [Fact]
    public async Task Front_end_without_started_rings_stays_connected()
    {
        var time = new HandClock();
        await using var bench = new Bench(handshakeLimit: TimeSpan.FromSeconds(10), time: time);
        using var ram = new GuestRam(GuestAt, 4 << 20);
        using var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate();
        time.Fire();
        frontEnd.ShareMemory();
        using var ring = frontEnd.Ring(0, 64, packed: false);
        frontEnd.Start(0, ring, 0);
        frontEnd.Write(ring, 0, new byte[512]);
    }

    /// <summary>A clock whose timers are fired by the test.</summary>
    private sealed class HandClock : TimeProvider
    {
        private readonly List<Handle> _timers = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            lock (_timers)
            {
                _timers.Add(new Handle(callback, state));
                return _timers[^1];
            }
        }

        public void Fire()
        {
            Handle[] timers;
            lock (_timers)
            {
                timers = [.. _timers];
            }

            Array.ForEach(timers, t => t.Run());
        }

        private sealed class Handle(TimerCallback callback, object? state) : ITimer
        {
            private volatile bool _over;

            public void Run()
            {
                if (!_over)
                {
                    callback(state);
                }
            }

            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose() => _over = true;

            public ValueTask DisposeAsync()
            {
                _over = true;
                return ValueTask.CompletedTask;
            }
        }
    }
}
