using Paddock.Server.Live;

namespace Paddock.Server.Tests.Live;

public class LatencyClassesTests
{
    [Fact]
    public void Bounds_ascend()
    {
        Assert.Equal(LatencyClasses.Count - 1, LatencyClasses.Bounds.Count);
        Assert.Equal(LatencyClasses.Bounds.Order().Distinct(), LatencyClasses.Bounds);
    }

    [Fact]
    public void Duration_is_in_the_class_with_the_next_bound()
    {
        for (double us = 0.1; us < 10_000_000; us *= 1.07)
        {
            int index = LatencyClasses.Of((long)(us * TimeProvider.System.TimestampFrequency / 1e6));
            Assert.True(index == LatencyClasses.Count - 1 || us <= LatencyClasses.Bounds[index] * 1.001, $"{us} in class {index}");
            Assert.True(index == 0 || us >= LatencyClasses.Bounds[index - 1] * 0.999, $"{us} in class {index}");
        }
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, 0)]
    [InlineData(long.MaxValue / 8, LatencyClasses.Count - 1)]
    public void Extreme_durations_have_a_class(long ticks, int index) => Assert.Equal(index, LatencyClasses.Of(ticks));
}
