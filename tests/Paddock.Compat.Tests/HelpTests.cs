namespace Paddock.Compat.Tests;

public class HelpTests
{
    [Theory]
    [InlineData("amend")]
    [InlineData("bench")]
    [InlineData("check")]
    [InlineData("commit")]
    [InlineData("compare")]
    [InlineData("convert")]
    [InlineData("create")]
    [InlineData("dd")]
    [InlineData("info")]
    [InlineData("map")]
    [InlineData("measure")]
    [InlineData("resize")]
    public async Task Help_shows_options_and_an_example(string command)
    {
        using var peer = new ImgPeer();
        var help = await peer.OursAsync($"{command} --help");
        Assert.Equal(0, help.Code);
        Assert.Contains($"Usage: qemu-img {command} ", help.Out, StringComparison.Ordinal);
        Assert.Contains($"Example:\n  qemu-img {command} ", help.Out, StringComparison.Ordinal);
        Assert.Contains($"  {command} ", (await peer.OursAsync("--help")).Out, StringComparison.Ordinal);
    }
}
