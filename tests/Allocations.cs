namespace Paddock;

/// <summary>Measures allocations. Compiled into each test project.</summary>
internal static class Allocations
{
    private const int Windows = 5;

    /// <summary>
    /// Fails if other threads than this one allocate more than a limit that lies below what one allocation a request would take. The
    /// runtime's threads allocate a little occasionally, and a busy machine makes a further buffer necessary once: the least of several
    /// measurements counts. Only for tests that no others run beside.
    /// </summary>
    /// <param name="limit">Bytes in all.</param>
    /// <param name="run">Runs the requests.</param>
    public static void AssertAtMost(long limit, Action run)
    {
        long least = long.MaxValue;
        for (int i = 0; i < Windows && least > limit; i++)
        {
            long own = GC.GetAllocatedBytesForCurrentThread(), all = GC.GetTotalAllocatedBytes(precise: true);
            run();
            own = GC.GetAllocatedBytesForCurrentThread() - own;
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - all - own);
        }

        Assert.InRange(least, long.MinValue, limit);
    }

    /// <summary>
    /// Fails if this thread allocates. What it has reserved counts as allocated when another thread starts a collection: the least of
    /// several measurements counts.
    /// </summary>
    /// <param name="run">What must not allocate; the first time does not count.</param>
    public static void AssertNone(Action run)
    {
        run();
        long least = long.MaxValue;
        for (int i = 0; i < Windows && least > 0; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            run();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }
}
