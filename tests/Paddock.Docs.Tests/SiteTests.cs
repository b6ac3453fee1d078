using System.Text.RegularExpressions;
using Paddock.Docs.Site;

namespace Paddock.Docs.Tests;

/// <summary>The documentation site.</summary>
public sealed partial class SiteTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-site-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Site_builds_without_a_warning_and_without_a_broken_link()
    {
        string site = Path.Combine(_folder, "site");
        var built = new Dictionary<string, string> { ["PADDOCK_DOCS"] = Path.Combine(AppContext.BaseDirectory, "paddock-docs.dll") };
        var build = await Place.RunAsync(Place.Root, built, Path.Combine(Place.Root, "build/site"), site);
        Assert.True(build.Code == 0, build.Out + build.Error);
        string[] pages = ["index.html", "docs/tutorial.html", "docs/reference/paddock-serve.html", "api/Paddock.Images.Qcow2Disk.html"];
        Assert.All(pages, page => Assert.True(File.Exists(Path.Combine(site, page)), page));
        string serve = File.ReadAllText(Path.Combine(site, "docs/reference/paddock-serve.html"));
        Assert.Contains("<dt><code>--nvme HOST:PORT</code></dt>", serve, StringComparison.Ordinal);
        string benchmarks = File.ReadAllText(Path.Combine(site, "docs/benchmarks.html"));
        Assert.Contains("<img src=\"charts/ratio-1.svg\"", benchmarks, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_document_is_in_the_table_of_contents()
    {
        string docs = Path.Combine(Place.Root, "docs");
        var listed = Reference().Matches(File.ReadAllText(Path.Combine(docs, "toc.yml"))).Select(m => m.Groups[1].Value).ToHashSet();
        var missing = Directory.EnumerateFiles(docs, "*.md", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(docs, f))
            .Where(f => !f.StartsWith("reference/", StringComparison.Ordinal) && !listed.Contains(f)).ToList();
        Assert.Empty(missing);
    }

    [Fact]
    public void Missing_pages_anchors_and_pictures_are_broken_links()
    {
        File.WriteAllText(
            Path.Combine(_folder, "a.html"),
            "<a id='here'></a><a href='#here'>1</a><a href='b.html#there'>2</a><a href='b.html#nowhere'>3</a><a href='c.html'>4</a>"
            + "<img src='d.svg'><a href='https://example.org/x'>5</a>");
        File.WriteAllText(Path.Combine(_folder, "b.html"), "<h2 id='there'>There</h2>");
        string[] broken = [.. SiteLinks.Broken(_folder).Order(StringComparer.Ordinal)];
        Assert.Equal(["a.html: b.html#nowhere", "a.html: c.html", "a.html: d.svg"], broken);
    }

    [Fact]
    public void Table_with_ratios_gets_a_chart()
    {
        const string Page = "## Speed\n\n| load | depth | IOPS | ratio |\n| --- | --- | --- | --- |\n"
            + "| read | 1 | 10 | 2.50 |\n| write | 8 | 5 | 0.50 |\n\nText\n";
        const string Picture = "![Speed: ratio; the numbers are in the table above](charts/ratio-1.svg)";
        Assert.Contains(Picture, Charts.AddTo(Page, _folder), StringComparison.Ordinal);
        string svg = File.ReadAllText(Path.Combine(_folder, "charts/ratio-1.svg"));
        Assert.Contains(">read, depth 1</text>", svg, StringComparison.Ordinal);
        Assert.Contains("class=\"behind\"", svg, StringComparison.Ordinal);
        Assert.Equal("a | b\n", Charts.AddTo("a | b", _folder));
    }

    [Fact]
    public void Terminal_text_becomes_a_picture()
    {
        string svg = TerminalPicture.Draw("map", "0  \e[0;39m==\e[0;34m\u2589\u2584\e[38;5;208mx & y\e[0m\e[K\n");
        Assert.Contains(">==</text>", svg, StringComparison.Ordinal);
        Assert.Equal(2, Regex.Count(svg, "<rect [^>]*fill=\"#4aa5f0\""));
        Assert.Contains("fill=\"#ff8700\"", svg, StringComparison.Ordinal);
        Assert.Contains(">&amp;</text>", svg, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', svg);
    }

    [Fact]
    public void Text_is_where_the_cursor_was_set()
    {
        var rows = new TerminalText("old\e[2J\e[2;3Hb\e[1;1Ha\e[2;4Hc\e[?1049lgone").Rows;
        Assert.Equal(["a", "  bc"], rows.Select(r => string.Concat(r.Select(c => c.Character))));
    }

    [GeneratedRegex(@"href: (\S+\.md)")]
    private static partial Regex Reference();
}
