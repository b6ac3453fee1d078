using Microsoft.Extensions.Time.Testing;
using Paddock.Cli.Native;

namespace Paddock.Cli.Tests;

public class StopRequestTests
{
    [Fact]
    public void Second_stop_signal_counts_only_after_a_second()
    {
        var time = new FakeTimeProvider();
        var stop = new StopRequest(time);
        Assert.False(stop.Signal());
        Assert.False(stop.Signal());
        time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.False(stop.Signal());
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(stop.Signal());
        Assert.False(stop.Signal());
    }
}
