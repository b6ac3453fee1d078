using System.Globalization;

namespace Paddock;

/// <summary>Seeds of random tests: from PADDOCK_SEED, or from the clock, and printed either way. Compiled into each test project.</summary>
internal static class TestSeed
{
    public static int Next()
    {
        int seed = int.TryParse(
            Environment.GetEnvironmentVariable("PADDOCK_SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out int given)
            ? given : Environment.TickCount & int.MaxValue;
        TestContext.Current.TestOutputHelper?.WriteLine($"PADDOCK_SEED={seed}");
        return seed;
    }
}
