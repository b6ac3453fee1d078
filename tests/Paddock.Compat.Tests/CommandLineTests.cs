using Paddock.Compat.Img;
using Paddock.Images;
using Xunit;

namespace Paddock.Compat.Tests;

public class CommandLineTests
{
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
    public async Task An_unknown_command_points_at_the_help()
    {
        var error = new StringWriter();
        var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = error };
        Assert.Equal(1, await ImgTool.RunAsync(["foo"], context));
        Assert.Equal("qemu-img: Command not found: foo\nTry 'qemu-img --help' for more info\n", error.ToString());
    }
}
