using System.Text.RegularExpressions;

namespace Paddock.Compat.Tests;

/// <summary>Images in too small a place, so that what is left to the closing fails, beside the system's qemu-img.</summary>
public partial class CloseErrorTests
{
    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task Commit_and_merge_report_lost_bitmaps_as_the_peer_does(int bitmaps)
    {
        using var theirs = new ImgPeer();
        using var ours = new ImgPeer();
        var expected = await RunAsync(theirs, bitmaps, theirs.TheirsAsync);
        Assert.Equal(expected, await RunAsync(ours, bitmaps, ours.OursAsync));
    }

    private static async Task<List<ToolRun>> RunAsync(ImgPeer peer, int bitmaps, Func<string, Task<ToolRun>> tool)
    {
        const int limit = 8 << 20;
        string raw = $$"""{"driver":"raw","size":{{limit}},"file.filename":"{{peer.Path("base")}}"}""";
        string small = $$"""json:{"driver":"qcow2","file":{{raw}}}""";
        await peer.TheirsAsync("create -q -f qcow2 @base 64M");
        for (int i = 0; i < bitmaps; i++)
        {
            await tool($"bitmap --add @base stale{i}");
        }

        using (var file = File.OpenHandle(peer.Path("base"), access: FileAccess.ReadWrite))
        {
            RandomAccess.SetLength(file, limit);
        }

        await peer.TheirsAsync($"create -q -f qcow2 -F qcow2 -b {small} @i");
        await tool("bitmap --add @i good");
        await peer.TheirsIoAsync("-c", "write 0 6848k", "@i");
        string[] lines = ["commit -d @i", $"bitmap --add {small} good", $"bitmap --merge good -b @i {small} good"];
        var runs = new List<ToolRun>();
        foreach (string line in lines)
        {
            var run = await tool(line);
            runs.Add(run with { Error = NodeName().Replace(run.Error, "NODE") });
        }

        return runs;
    }

    [GeneratedRegex("#block[0-9]{3,}")]
    private static partial Regex NodeName();
}
