using Paddock.Handover;

namespace Paddock.Cli.Tests.Serve;

/// <summary>A few of the hand-overs of tests/handover/run --file: two servers of one file, and a client that verifies.</summary>
public sealed class FileHandoverTests
{
    private const int Count = 4;

    [Fact]
    public async Task Handed_over_image_keeps_flushed_data_and_has_no_append_twice()
    {
        int seed = TestSeed.Next();
        string folder = Directory.CreateTempSubdirectory("paddock-handover-").FullName;
        var result = await Lane.RunAsync(new HandoverOptions
        {
            Count = Count, Seed = seed, Folder = folder, Image = Path.Combine(folder, "disk.qcow2"), StoppedKeepsIt = true,
            Program = ["dotnet", Path.Combine(AppContext.BaseDirectory, "paddock.dll")],
            Report = line => TestContext.Current.TestOutputHelper?.WriteLine(line),
        });
        Assert.Equal(Count, result.Times.Count);
        Assert.True(result.Verified > Count / 2, $"{result.Verified} comparisons");
        Assert.True(result.Times[0].IsMoved && result.Times[1].IsMoved, "the image was not handed over");
        Directory.Delete(folder, recursive: true);
    }
}
