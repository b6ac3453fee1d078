namespace Paddock.VhostUser.Tests;

/// <summary>Descriptors open in this process.</summary>
internal static class OpenDescriptors
{
    // the runtime opens some at any time; a leak adds one per round
    private const int Runtime = 5;

    public static int Count => All().Count;

    /// <summary>Waits until no more are open than before, apart from the runtime's own.</summary>
    public static void AssertNoMoreThan(int before)
        => Assert.True(
            SpinWait.SpinUntil(() => Count <= before + Runtime, TimeSpan.FromSeconds(30)),
            $"{before} descriptors became {Count}: {string.Join(", ", All().CountBy(t => t).OrderByDescending(t => t.Value))}");

    private static List<string> All()
        => [.. Directory.GetFileSystemEntries("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget ?? "").Where(t => t.Length > 0)];
}
