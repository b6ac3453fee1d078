namespace Paddock.Compat.Tests;

public class HelpTests
{
    [Theory]
    [InlineData("amend")]
    [InlineData("bench")]
    [InlineData("bitmap")]
    [InlineData("check")]
    [InlineData("commit")]
    [InlineData("compare")]
    [InlineData("convert")]
    [InlineData("create")]
    [InlineData("dd")]
    [InlineData("info")]
    [InlineData("map")]
    [InlineData("measure")]
    [InlineData("rebase")]
    [InlineData("resize")]
    [InlineData("snapshot")]
    public async Task Help_shows_options_and_an_example(string command)
    {
        using var peer = new ImgPeer();
        var help = await peer.OursAsync($"{command} --help");
        Assert.Equal(0, help.Code);
        Assert.Contains($"Usage: qemu-img {command} ", help.Out, StringComparison.Ordinal);
        Assert.Contains($"Example:\n  qemu-img {command} ", help.Out, StringComparison.Ordinal);
        string overview = (await peer.OursAsync("--help")).Out;
        Assert.Contains($"  {command} ", overview, StringComparison.Ordinal);
        Assert.All((help.Out + overview).Split('\n'), static line => Assert.InRange(line.Length, 0, 100));
    }
}
