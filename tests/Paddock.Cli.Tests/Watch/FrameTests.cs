using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Cli.Native.Watch;

namespace Paddock.Cli.Tests.Watch;

/// <summary>Frames, and what a terminal is sent to show them.</summary>
public class FrameTests
{
    [Fact]
    public void Terminal_shows_each_frame_although_only_changes_are_sent()
    {
        var random = new Random(TestSeed.Next());
        const int Width = 20, Height = 6;
        var terminal = new TerminalPicture(Width, Height);
        var writer = new FrameWriter(ColorDepth.Basic);
        Frame? before = null;
        for (int round = 0; round < 50; round++)
        {
            var frame = new Frame(Width, Height);
            for (int i = 0; i < Width * Height; i++)
            {
                (int x, int y) = (i % Width, i / Width);
                bool keeps = before is not null && random.Next(4) > 0;
                frame.Put(
                    x, y, keeps ? before![x, y].Char : (char)random.Next('a', 'z'),
                    keeps ? before![x, y].Style : new Style((ZoneCondition)random.Next(1, 5), (Weight)random.Next(16)));
            }

            terminal.Apply(writer.Write(frame));
            Assert.Equal(frame.ToString(), terminal.Text);
            for (int i = 0; i < Width * Height; i++)
            {
                string expected = frame[i % Width, i / Width].Style.Sequence(ColorDepth.Basic);
                Assert.Equal(
                    expected.Replace("\u001b[", "", StringComparison.Ordinal).Replace("m", " ", StringComparison.Ordinal).TrimEnd(),
                    terminal.StyleAt(i % Width, i / Width));
            }

            before = frame;
        }
    }

    [Fact]
    public void Equal_frame_sends_nothing_and_one_cell_little()
    {
        var writer = new FrameWriter(ColorDepth.None);
        var frame = new Frame(128, 50);
        frame.Text(0, 0, "zones");
        writer.Write(frame);
        var same = new Frame(128, 50);
        same.Text(0, 0, "zones");
        Assert.Equal("", writer.Write(same));
        var next = new Frame(128, 50);
        next.Text(0, 0, "zonez");
        Assert.Equal("\u001b[1;5H\u001b[0mz\u001b[0m", writer.Write(next));
    }

    [Fact]
    public void Another_size_is_drawn_whole()
    {
        var writer = new FrameWriter(ColorDepth.None);
        writer.Write(new Frame(10, 10));
        Assert.StartsWith("\u001b[0m\u001b[2J", writer.Write(new Frame(11, 10)), StringComparison.Ordinal);
        writer.Forget();
        Assert.StartsWith("\u001b[0m\u001b[2J", writer.Write(new Frame(11, 10)), StringComparison.Ordinal);
    }

    [Fact]
    public void Character_that_is_not_one_column_wide_becomes_a_question_mark()
    {
        var frame = new Frame(10, 1);
        frame.Text(0, 0, "\u65e5a\u0301\u001bz\u00e9▉");
        Assert.Equal("?a??z\u00e9▉\n", frame.ToString());
    }

    [Theory]
    [InlineData("q", "Quit")]
    [InlineData("\u001b[A\u001b[B", "Up Down")]
    [InlineData("\u001bOC\u001b[D", "Right Left")]
    [InlineData("\u001b[5~\u001b[6~", "PageUp PageDown")]
    [InlineData("\u001b[1;5A", "")]
    [InlineData("\u001b", "Out")]
    [InlineData("\u001b[", "")]
    [InlineData("\u001b[200~", "")]
    [InlineData("s\rf m?", "Sort In Filter Pause Map Help")]
    [InlineData("\u0000xyé", "")]
    public void Bytes_of_a_terminal_are_keys(string sent, string keys)
        => Assert.Equal(keys, string.Join(' ', Keys.Parse([.. sent.Select(c => (byte)c)])));
}
