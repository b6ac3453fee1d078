using Paddock.Images.Text;

namespace Paddock.Images.Tests;

/// <summary>Sizes, option lists and JSON names as QEMU reads them.</summary>
public class TextTests
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
    public void Json_names_take_single_quotes_and_list_keys_in_the_peers_order()
    {
        var dict = (QDict)JsonReader.Parse("{'driver':'raw','file':{'driver':'file','filename':'r'},'offset':'512','size':'1k'}")!;
        Assert.Equal(
            "{\"offset\": \"512\", \"driver\": \"raw\", \"size\": \"1k\", \"file\": {\"driver\": \"file\", \"filename\": \"r\"}}",
            JsonText.Compact(dict));
    }
}
