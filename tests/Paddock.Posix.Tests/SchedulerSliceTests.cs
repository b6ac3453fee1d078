namespace Paddock.Posix.Tests;

public class SchedulerSliceTests
{
    [Fact]
    public void All_threads_and_those_they_start_get_the_slice_that_was_asked_for()
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

        // a kernel before 6.12 tells of no slice, and gives none
        var expected = before == TimeSpan.Zero ? TimeSpan.Zero : slice;
        Assert.Equal((expected, expected, expected), (SchedulerSlice.OfThisThread(), running, started));
    }
}
