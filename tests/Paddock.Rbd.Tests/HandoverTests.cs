using Paddock.Handover;

namespace Paddock.Rbd.Tests;

/// <summary>A few of the hand-overs of tests/handover/run: two servers of one image, and a client that verifies.</summary>
public sealed class HandoverTests(CephCluster cluster)
{
    private const int Count = 4;

    [Fact]
    public async Task Handed_over_image_keeps_flushed_data_and_has_no_append_twice()
    {
        int seed = TestSeed.Next();
        string folder = Directory.CreateTempSubdirectory("paddock-handover-").FullName;
        var result = await Lane.RunAsync(new HandoverOptions
        {
            Count = Count, Seed = seed, Folder = folder, Image = cluster.NameOf(CephCluster.NewImage()),
            Program = ["dotnet", Path.Combine(AppContext.BaseDirectory, "paddock.dll")],
            Report = line => TestContext.Current.TestOutputHelper?.WriteLine(line),
        });
        Assert.Equal(Count, result.Times.Count);
        Assert.True(result.Verified > Count / 2, $"{result.Verified} comparisons");
        Assert.True(result.Times[0].IsMoved && result.Times[1].IsMoved, "the image was not handed over");
        Directory.Delete(folder, recursive: true);
    }
}
