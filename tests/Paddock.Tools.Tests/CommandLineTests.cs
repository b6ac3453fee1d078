using Paddock.Tools;
using Xunit;

namespace Paddock.Tools.Tests;

public class CommandLineTests
{
    [Theory]
    [InlineData("1.5M", 1572864ul)]
    [InlineData("0x10", 16ul)]
    [InlineData("010", 10ul)]
    [InlineData(".5k", 512ul)]
    [InlineData("5.", 5ul)]
    [InlineData("1b", 1ul)]
    [InlineData("1.5e", 1729382256910270464ul)]
    public void A_size_is_read_as_QEMU_reads_it(string text, ulong bytes)
    {
        Assert.Equal(NumberFault.None, SizeParser.TryParse(text, out ulong value));
        Assert.Equal(bytes, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("k")]
    [InlineData("-1k")]
    [InlineData("1.5")]
    [InlineData("1.5b")]
    [InlineData("0x10k")]
    [InlineData("1kB")]
    [InlineData("0x")]
    public void What_is_no_size_is_refused(string text)
        => Assert.Equal(NumberFault.Invalid, SizeParser.TryParse(text, out _));

    [Fact]
    public void A_doubled_comma_is_a_comma_in_the_value()
        => Assert.Equal("a,b", KeyValueOptions.ParseToDict("x=a,,b,y=1")["x"]);

    [Fact]
    public void Options_after_operands_are_found()
    {
        var options = new GetOpt(["file", "-qf", "raw", "--", "-x"], GetOpt.FromString("qf:"));
        Assert.True(options.TryNext(out var first) && first.Key == "q");
        Assert.True(options.TryNext(out var second) && second is { Key: "f", Value: "raw" });
        Assert.False(options.TryNext(out _));
        Assert.Equal(["file", "-x"], options.Operands);
    }

    [Fact]
    public void An_ambiguous_beginning_names_the_possibilities()
    {
        var options = new GetOpt(["--fo"], [new('a', "format", true), new('b', "force", false)]);
        var refusal = Assert.Throws<UsageException>(() => options.TryNext(out _));
        Assert.Equal("option '--fo' is ambiguous; possibilities: '--format' '--force'", refusal.Message);
    }

    [Fact]
    public void Json_names_take_single_quotes_and_list_keys_in_the_peers_order()
    {
        var dict = (QDict)JsonReader.Parse("{'driver':'raw','file':{'driver':'file','filename':'r'},'offset':'512','size':'1k'}")!;
        Assert.Equal(
            "{\"offset\": \"512\", \"driver\": \"raw\", \"size\": \"1k\", \"file\": {\"driver\": \"file\", \"filename\": \"r\"}}",
            JsonText.Compact(dict));
    }

    [Fact]
    public async Task An_unknown_command_points_at_the_help()
    {
        var error = new StringWriter();
        var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = error };
        Assert.Equal(1, await ImgTool.RunAsync(["foo"], context));
        Assert.Equal("qemu-img: Command not found: foo\nTry 'qemu-img --help' for more info\n", error.ToString());
    }
}
