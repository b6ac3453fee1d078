namespace Paddock.Posix.Tests;

public class SchedulerSliceTests
{
    [Fact]
    public void Requested_slice_applies_to_all_threads_and_their_children()
    {
        var slice = TimeSpan.FromMilliseconds(0.2);
        var before = SchedulerSlice.OfThisThread();
        using var asked = new ManualResetEventSlim();
        var (running, started) = (TimeSpan.Zero, TimeSpan.Zero);
        var other = new Thread(() =>
        {
            asked.Wait();
            running = SchedulerSlice.OfThisThread();
        });
        other.Start();
        SchedulerSlice.AskFor(slice);
        asked.Set();
        other.Join();
        var next = new Thread(() => started = SchedulerSlice.OfThisThread());
        next.Start();
        next.Join();

        // kernels before 6.12 neither report nor set a slice
        var expected = before == TimeSpan.Zero ? TimeSpan.Zero : slice;
        Assert.Equal((expected, expected, expected), (SchedulerSlice.OfThisThread(), running, started));
    }
}
