namespace Paddock.Block.Tests;

public sealed class EscapedTextTests
{
    [Theory]
    [InlineData("disk.qcow2", "disk.qcow2")]
    [InlineData("C:\\a b=\"c\"", "C:\\a b=\"c\"")]
    [InlineData("Größe 大きさ 😀", "Größe 大きさ 😀")]
    [InlineData("a\nb\rc\td", "a\\nb\\rc\\td")]
    [InlineData("\u001b[31mred\u0007\u007f\0", "\\x1b[31mred\\x07\\x7f\\x00")]
    [InlineData("\u009b31m\u0085", "\\x9b31m\\x85")]
    [InlineData("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff")]
    [InlineData("a\u2028b\u2029c", "a\\u2028b\\u2029c")]
    [InlineData("\U000e0041", "\\U000e0041")]
    public void Only_unprintable_characters_are_escaped(string text, string expected) => Assert.Equal(expected, EscapedText.Escape(text));

    [Fact]
    public void Lone_surrogates_and_bytes_that_are_not_UTF_8_are_escaped()
    {
        Assert.Equal("a\\xffb", EscapedText.Escape("a" + (char)0xdcff + "b"));
        Assert.Equal("a\\ud800", EscapedText.Escape("a" + (char)0xd800));
        Assert.Equal("\"\\x80\"", EscapedText.Quote(((char)0xdc80).ToString()));
    }

    [Theory]
    [InlineData("127.0.0.1:4420", "127.0.0.1:4420")]
    [InlineData("", "\"\"")]
    [InlineData("two words", "\"two words\"")]
    [InlineData("host=other", "\"host=other\"")]
    [InlineData("say \"x\"", "\"say \\\"x\\\"\"")]
    [InlineData("a\\n", "\"a\\\\n\"")]
    [InlineData("a\n2026 forged", "\"a\\n2026 forged\"")]
    [InlineData("é", "\"é\"")]
    public void Log_value_is_quoted_unless_it_is_a_plain_word(string value, string expected)
        => Assert.Equal(expected, EscapedText.Quote(value));

    [Fact]
    public void Newlines_of_a_message_are_kept_and_other_control_characters_escaped()
        => Assert.Equal("one\ntwo\\r\\x1b[A", EscapedText.EscapeLines("one\ntwo\r\u001b[A"));
}
