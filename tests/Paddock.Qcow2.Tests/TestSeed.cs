using System.Globalization;

namespace Paddock.Qcow2.Tests;

/// <summary>Seeds of random tests: from PADDOCK_SEED, or from the clock, and printed either way.</summary>
internal static class TestSeed
{
    public static int Next()
    {
        int seed = int.TryParse(
            Environment.GetEnvironmentVariable("PADDOCK_SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out int given)
            ? given
            : Environment.TickCount;
        TestContext.Current.TestOutputHelper?.WriteLine($"PADDOCK_SEED={seed}");
        return seed;
    }
}
