using System.Globalization;

namespace Paddock;

/// <summary>Settings of fuzzers. Compiled into each test project.</summary>
internal static class Fuzzing
{
    /// <summary>A number from an environment variable, such as how many commands are tried.</summary>
    public static long Number(string variable, long otherwise)
        => long.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number : otherwise;
}

/// <summary>
/// Memory that a fuzzer keeps after its first quarter. It counts that of the whole process: no other test may run meanwhile.
/// </summary>
/// <param name="count">How many things are tried.</param>
internal sealed class MemoryGrowth(long count)
{
    private long _before;

    /// <summary>Call it with the number of things tried so far.</summary>
    public void Tried(long done)
    {
        if (_before == 0 && done >= count / 4)
        {
            _before = GC.GetTotalMemory(forceFullCollection: true);
        }
    }

    /// <summary>Fails the test if more memory is kept than that.</summary>
    /// <returns>The growth in bytes.</returns>
    public long Check(long limit, int seed)
    {
        long growth = GC.GetTotalMemory(forceFullCollection: true) - _before;
        Assert.True(growth < limit, $"seed {seed}: memory grew by {growth} bytes");
        return growth;
    }
}
