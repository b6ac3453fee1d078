using Paddock.Images.Text;

namespace Paddock.Images.Tests;

public class BoundedLinesTests
{
    [Fact]
    public void Lists_of_an_image_are_cut_and_counted()
    {
        var lines = new List<string>();
        var bounded = new BoundedLines(lines.Add, 2);
        bounded.Add("one");
        bounded.Add("two\n\u001b");
        bounded.Add("three");
        bounded.Add("four");
        bounded.End();
        Assert.Equal(["one", "two\\n\\x1b", "... and 2 more"], lines);
        Assert.Equal(new string('x', 256) + "...", BoundedLines.Name(new string('x', 60000)));
    }
}
