using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Free clusters whose space the file still takes.</summary>
public class PunchListTests
{
    [Fact]
    public void Runs_that_adjoin_become_one()
    {
        var list = new PunchList();
        Assert.True(list.TryAdd(10, 20) && list.TryAdd(30, 40) && list.TryAdd(20, 30));
        Assert.Equal(1, list.Count);
        Assert.True(list.TryTakeLast(100, out long first, out long end));
        Assert.Equal((10, 40), (first, end));
        Assert.False(list.TryTakeLast(100, out _, out _));
    }

    [Fact]
    public void Too_many_runs_are_rejected_unless_adjacent()
    {
        var list = new PunchList();
        for (int i = 0; i < PunchList.MaxRuns; i++)
        {
            Assert.True(list.TryAdd(i * 4, (i * 4) + 1));
        }

        Assert.False(list.TryAdd(1 << 20, (1 << 20) + 1));
        Assert.True(list.TryAdd(1, 2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_operations_match_a_set(int seed)
    {
        var random = new Random(seed);
        var list = new PunchList();
        var model = new SortedSet<long>();
        for (int step = 0; step < 5000; step++)
        {
            long first = random.Next(200), end = first + 1 + random.Next(12);
            switch (random.Next(3))
            {
                case 0 when !model.Any(c => c >= first && c < end):
                    Assert.True(list.TryAdd(first, end));
                    model.UnionWith(Clusters(first, end));
                    break;
                case 1:
                    list.Remove(first, end);
                    model.ExceptWith(Clusters(first, end));
                    break;
                case 2 when random.Next(8) == 0:
                    bool any = list.TryTakeLast(1 + random.Next(9), out first, out end);
                    Assert.Equal(model.Count > 0, any);
                    if (any)
                    {
                        Assert.Equal(model.Max, end - 1);
                        Assert.All(Clusters(first, end), c => Assert.True(model.Remove(c), $"seed {seed}, step {step}"));
                    }

                    break;
            }
        }

        while (list.TryTakeLast(long.MaxValue, out long first, out long end))
        {
            Assert.All(Clusters(first, end), c => Assert.True(model.Remove(c), $"seed {seed}"));
        }

        Assert.Empty(model);
    }

    private static IEnumerable<long> Clusters(long first, long end)
    {
        for (long cluster = first; cluster < end; cluster++)
        {
            yield return cluster;
        }
    }
}
