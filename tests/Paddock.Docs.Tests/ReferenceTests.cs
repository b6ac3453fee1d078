using System.CommandLine;
using Paddock.Cli;
using Paddock.Cli.Native;
using Paddock.Docs.Reference;

namespace Paddock.Docs.Tests;

/// <summary>The pages that are generated from the command tree.</summary>
public class ReferenceTests
{
    private static readonly Dictionary<string, string> Terminal = new()
    {
        ["LC_ALL"] = "C.UTF-8", ["MANWIDTH"] = "80", ["MANPAGER"] = "cat",
    };

    private static readonly ManualPage[] Pages = [.. new VerbPages(new(Path.Combine(Place.Root, "docs", "reference"))).All()];

    [Fact]
    public void Every_verb_has_a_page_with_each_section()
    {
        string[] required = ["Synopsis", "Description", "Options", "Examples", "Exit status", "Files", "See also"];
        Assert.Equal(["paddock", .. Verbs().Select(v => "paddock-" + v.Name)], Pages.Select(p => p.Name));
        Assert.Empty(
            from page in Pages
            from title in required
            where !page.Sections.Any(s => s.Title == title && s.Markdown.Length > 0)
            select $"{page.Name}: {title}");
    }

    [Fact]
    public void Every_option_and_every_subcommand_is_on_the_page_of_its_verb()
    {
        foreach (var verb in Verbs())
        {
            string text = Pages.Single(p => p.Name == "paddock-" + verb.Name).ToMarkdown();
            foreach (var command in verb.Subcommands.Where(c => !c.Hidden).Append(verb))
            {
                Assert.Contains(CommandTree.PathOf(command), text, StringComparison.Ordinal);
                Assert.All(command.Options.Where(o => !o.Hidden), o => Assert.Contains($"`{o.Name}", text, StringComparison.Ordinal));
            }
        }
    }

    [Fact]
    public void Commands_of_the_compatible_tools_are_on_their_pages()
    {
        string img = Pages.Single(p => p.Name == "paddock-img").ToMarkdown();
        Assert.Contains("convert", ToolPages.Commands());
        Assert.All(ToolPages.Commands(), c => Assert.Contains($"### paddock img {c}\n", img, StringComparison.Ordinal));
        Assert.Contains("\n`zone_append", Pages.Single(p => p.Name == "paddock-io").ToMarkdown(), StringComparison.Ordinal);
        Assert.Contains("\n`-k, --socket PATH`", Pages.Single(p => p.Name == "paddock-nbd").ToMarkdown(), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_fragment_belongs_to_a_page()
        => Assert.Empty(Directory.EnumerateFiles(Path.Combine(Place.Root, "docs", "reference"), "paddock*.md")
            .Select(Path.GetFileNameWithoutExtension).Except(Pages.Select(p => p.Name)));

    [Fact]
    public async Task Man_pages_have_no_warning()
    {
        string folder = Directory.CreateTempSubdirectory("paddock-man-test-").FullName;
        try
        {
            ReferenceFiles.WriteMan(Pages, folder, "2026-01-31", "1.2.3");
            string[] files = [.. Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)];
            Assert.Equal(Pages.Length, files.Length);
            var lint = await Place.RunAsync(folder, Terminal, ["mandoc", "-Tlint", "-Wwarning", .. files]);
            Assert.Equal((0, ""), (lint.Code, lint.Out + lint.Error));
            var man = await Place.RunAsync(folder, Terminal, ["man", "--warnings", "-l", .. files]);
            Assert.Equal((0, ""), (man.Code, man.Error));
            Assert.Matches(@"paddock-serve +- +serves +images", man.Out);
            Assert.Contains("Paddock 1.2.3", man.Out, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("  create  [IMAGE] NAME   takes a snapshot", "`create [IMAGE] NAME`\n:   takes a snapshot")]
    [InlineData("  fail      rejects requests\n            of clients", "`fail`\n:   rejects requests of clients")]
    [InlineData("Commands:\n  drop   closes", "Commands:\n\n`drop`\n:   closes")]
    [InlineData("a_b and --no-drain", @"a\_b and `--no-drain`")]
    [InlineData("  no columns", "```text\n  no columns\n```")]
    public void Help_becomes_Markdown(string help, string markdown) => Assert.Equal(markdown, HelpText.ToMarkdown(help.Split('\n')));

    [Theory]
    [InlineData(".start `a-b` it's \\x", "\\&.start \\fBa\\-b\\fR it\\(aqs \\ex")]
    [InlineData("[paddock(1)](paddock.md) *and* é", "\\fBpaddock(1)\\fR \\fIand\\fR \\[u00E9]")]
    public void Text_is_escaped_for_roff(string markdown, string roff)
    {
        var page = new ManualPage("paddock-x", "paddock x", "Does x.", [new("Notes", markdown)]);
        Assert.EndsWith($".SH NOTES\n{roff}\n", new ManPage(page, "2026-01-31", "1").ToRoff(), StringComparison.Ordinal);
    }

    private static IEnumerable<Command> Verbs()
        => CommandTree.Build(new NativeConsole(Stream.Null, Stream.Null, Stream.Null)).Subcommands.Where(c => !c.Hidden);
}
