using Microsoft.Extensions.Time.Testing;
using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Tests.Engine;

public class PunchTimerTests
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    [Fact]
    public void Timer_that_is_not_armed_never_ticks()
    {
        var clock = new FakeTimeProvider();
        using var timer = new PunchTimer(clock, Period);
        timer.Start();
        var waiting = timer.WaitAsync(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromHours(1));
        Assert.False(waiting.IsCompleted);
        timer.Arm();
        clock.Advance(Period);
        Assert.True(Ticked(waiting));
    }

    [Fact]
    public void Ticks_stop_when_nothing_takes_space_and_resume_when_something_does()
    {
        var clock = new FakeTimeProvider();
        using var timer = new PunchTimer(clock, Period);
        timer.Start();
        timer.Arm();
        clock.Advance(Period);
        Assert.True(Ticked(timer.WaitAsync(TestContext.Current.CancellationToken)));
        timer.Disarm();
        var waiting = timer.WaitAsync(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromHours(1));
        Assert.False(waiting.IsCompleted);
        timer.Arm();
        clock.Advance(Period);
        Assert.True(Ticked(waiting));
    }

    [Fact]
    public void Ticks_that_nobody_waits_for_count_as_one()
    {
        var clock = new FakeTimeProvider();
        using var timer = new PunchTimer(clock, Period);
        timer.Start();
        timer.Arm();
        clock.Advance(10 * Period);
        Assert.True(timer.WaitAsync(TestContext.Current.CancellationToken).IsCompletedSuccessfully);
        Assert.False(timer.WaitAsync(TestContext.Current.CancellationToken).IsCompleted);
    }

    [Fact]
    public void Arming_without_a_start_does_nothing()
    {
        var clock = new FakeTimeProvider();
        using var timer = new PunchTimer(clock, Period);
        timer.Arm();
        clock.Advance(TimeSpan.FromHours(1));
        Assert.False(timer.WaitAsync(TestContext.Current.CancellationToken).IsCompleted);
    }

    // a release completes the waiter on another thread: the test's limit ends a wait that never does
    private static bool Ticked(Task waiting) => waiting.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
}
