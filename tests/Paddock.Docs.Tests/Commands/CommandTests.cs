using System.Text.RegularExpressions;
using Paddock.Cli;
using Paddock.Cli.Native;
using Paddock.Docs.Reference;

namespace Paddock.Docs.Tests.Commands;

/// <summary>
/// The commands in README.md and under docs/ work as printed. Blocks that need root, a guest or a network are marked
/// <c>&lt;!-- not run: REASON --&gt;</c> and only parsed.
/// </summary>
public class CommandTests
{
    public static TheoryData<string> PagesWithCommands => [.. Blocks.Where(b => b.NotRun is null).Select(b => b.Page).Distinct()];

    private static readonly DocumentBlock[] Blocks = [.. Documents().SelectMany(
        page => DocumentBlock.Of(page, File.ReadAllText(Path.Combine(Place.Root, page))))];

    [Theory]
    [MemberData(nameof(PagesWithCommands))]
    public async Task Commands_of_the_page_work_as_printed(string page)
    {
        await using var sandbox = new Sandbox();
        foreach (var block in Blocks.Where(b => b.Page == page && b.NotRun is null))
        {
            if (block.Before.Length > 0)
            {
                var before = await sandbox.RunAsync(block.Before);
                Assert.True(before.Code == 0, $"{page}:{block.Line}: before: exit code {before.Code}\n{before.Out}{before.Error}");
            }

            var run = await sandbox.RunAsync(block.Script);
            Assert.True(run.Code == block.ExitCode, $"{page}:{block.Line}: exit code {run.Code}\n{block.Script}\n{run.Out}{run.Error}");
            AssertShown(block, run.Out + run.Error);
        }
    }

    [Fact]
    public void Every_paddock_command_parses()
    {
        var root = CommandTree.Build(new NativeConsole(Stream.Null, Stream.Null, Stream.Null));
        string[] img = [.. ToolPages.Commands()];
        var commands = Blocks.SelectMany(block => ShellText.PaddockArguments(block.Script).Select(args => (block, args))).ToList();
        Assert.NotEmpty(commands);
        string[] wrong =
        [
            .. from command in commands
               where command.args is not (["img" or "io" or "nbd", ..] or ["build"])
               from error in root.Parse(Sample(command.args)).Errors
               select $"{command.block.Page}:{command.block.Line}: paddock {string.Join(' ', command.args)}: {error.Message}",
            .. from command in commands
               where command.args is ["img", var name, ..] && !name.StartsWith('-') && !img.Contains(name)
               select $"{command.block.Page}:{command.block.Line}: paddock img {command.args[1]}: no such command",
        ];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public async Task Commands_that_are_not_run_are_shell()
    {
        foreach (var block in Blocks.Where(b => b.NotRun is not null))
        {
            Assert.NotEmpty(block.NotRun!);
            var parsed = await Place.RunAsync(Place.Root, new Dictionary<string, string>(), "bash", "-n", "-c", block.Script);
            Assert.True(parsed.Code == 0, $"{block.Page}:{block.Line}: {parsed.Error}");
        }
    }

    [Theory]
    [InlineData("a 'b c' | sudo paddock zones x.qcow2 --json > out # comment", "zones|x.qcow2|--json")]
    [InlineData("head -c 1M f | ./paddock append x 3 2>/dev/null && paddock img info \"a b\"", "append|x|3;img|info|a b")]
    [InlineData("paddock serve x \\\n    --nvme 127.0.0.1:4420 &\nls", "serve|x|--nvme|127.0.0.1:4420")]
    [InlineData("key=$(paddock gen-dhchap-key)", "gen-dhchap-key")]
    [InlineData("dnf install paddock; runuser -u paddock -- paddock create x 1G", "create|x|1G")]
    public void Arguments_are_found_in_a_script(string script, string expected)
        => Assert.Equal(expected, string.Join(';', ShellText.PaddockArguments(script).Select(args => string.Join('|', args))));

    [Fact]
    public void Comments_and_prompts_of_a_block_are_read()
    {
        const string Page = "<!-- before: touch a\ntouch b -->\n<!-- exit code: 1 -->\n\n```console\n$ ls \\\n  a\na\n```\n\n"
            + "<!-- not run: root -->\n```sh\nid\n```\n";
        var blocks = DocumentBlock.Of("page.md", Page);
        Assert.Equal(("touch a\ntouch b", 1, 4 + 1), (blocks[0].Before.Trim(), blocks[0].ExitCode, blocks[0].Line));
        Assert.Equal("ls \\\n  a", blocks[0].Script);
        Assert.Equal(["a"], blocks[0].Output);
        Assert.Equal(("root", "id"), (blocks[1].NotRun, blocks[1].Script));
    }

    /// <summary>Each line that is shown is in the output, in this order; <c>...</c> stands for anything.</summary>
    private static void AssertShown(DocumentBlock block, string output)
    {
        string[] lines = [.. output.Split('\n').Select(OneBlank)];
        int next = 0;
        foreach (string shown in block.Output.Select(OneBlank).Where(l => l.Length > 0 && l != "..."))
        {
            string pattern = "^" + Regex.Escape(shown).Replace(@"\.\.\.", ".*", StringComparison.Ordinal) + "$";
            int found = Array.FindIndex(lines, next, l => Regex.IsMatch(l, pattern));
            Assert.True(found >= 0, $"{block.Page}:{block.Line}: not printed: {shown}\nprinted:\n{output}");
            next = found + 1;
        }
    }

    // columns move with the length of ports
    private static string OneBlank(string line) => Regex.Replace(line.TrimEnd(), " +", " ");

    // a variable of the shell stands for something that parses: a number
    private static string[] Sample(string[] args) => [.. args.Select(a => a.StartsWith('$') ? "1" : a)];

    private static IEnumerable<string> Documents()
        => Directory.EnumerateFiles(Path.Combine(Place.Root, "docs"), "*.md", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(Place.Root, f)).Order(StringComparer.Ordinal).Prepend("README.md");
}
