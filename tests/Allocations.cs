namespace Paddock;

/// <summary>Measures allocations. Only for tests that no others run beside. Compiled into each test project.</summary>
internal static class Allocations
{
    private const int Windows = 5;

    /// <summary>
    /// Fails if other threads than this one allocate more than a limit that lies below what one allocation a request would take. The
    /// runtime's threads allocate a little occasionally, and a busy machine makes a further buffer necessary once: the least of several
    /// measurements counts.
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
}
