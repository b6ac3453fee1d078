using System.CommandLine;
using System.Text.RegularExpressions;
using Paddock.Cli;
using Paddock.Cli.Native;

namespace Paddock.House.Tests;

/// <summary>What is written down is there, and what is there is written down.</summary>
public partial class DocumentTests
{
    private const int MaxLine = 120;

    [Fact]
    public void No_relative_link_is_dead()
    {
        var dead = from file in Repository.Files("", "*.md")
                   from Match link in Link().Matches(Repository.Read(file))
                   let target = link.Groups[1].Value.Split('#')[0]
                   where target.Length > 0 && !target.Contains(':', StringComparison.Ordinal)
                   let path = Path.Combine(Repository.Root, Path.GetDirectoryName(file) ?? "", target)
                   where !File.Exists(path) && !Directory.Exists(path)
                   select $"{file}: {target}";
        Repository.AssertNone(dead);
    }

    [Fact]
    public void Every_package_is_explained()
    {
        string explained = Repository.Read("docs/dependencies.md");
        Repository.AssertNone(Package().Matches(Repository.Read("Directory.Packages.props")).Select(m => m.Groups[1].Value)
            .Where(name => !explained.Contains(name, StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_package_is_referenced()
    {
        var projects = Repository.Files("", "*.csproj").Concat(Repository.Files("", "*.props")).Concat(Repository.Files("", "*.targets"));
        var referenced = projects.SelectMany(f => PackageReference().Matches(Repository.Read(f))).Select(m => m.Groups[1].Value)
            .ToHashSet();
        Repository.AssertNone(Package().Matches(Repository.Read("Directory.Packages.props")).Select(m => m.Groups[1].Value)
            .Where(name => !referenced.Contains(name)));
    }

    /// <summary>Tables, code and lines without a space cannot be wrapped; entries of the change log stay as they were released.</summary>
    [Fact]
    public void No_line_of_a_document_is_over_120_characters()
        => Repository.AssertNone(
            from file in Repository.Files("", "*.md")
            from line in Prose(Repository.Lines(file))
            where file != "CHANGELOG.md" && line.Text.Length > MaxLine && line.Text.Trim().Contains(' ', StringComparison.Ordinal)
            select $"{file}:{line.Number}");

    [Fact]
    public void Every_project_is_in_the_solution_and_in_the_map()
    {
        string solution = Repository.Read("Paddock.slnx");
        string map = Repository.Read("docs/ARCHITECTURE.md");
        foreach (string project in Repository.Files("", "*.csproj"))
        {
            // a sample is built from the packages, which the solution makes
            Assert.True(project.StartsWith("samples/", StringComparison.Ordinal)
                || solution.Contains(project, StringComparison.Ordinal), project);
            Assert.Contains(Path.GetFileNameWithoutExtension(project), map, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_path_in_the_map_exists()
        => Repository.AssertNone(
            from Match path in MapPath().Matches(Repository.Read("docs/ARCHITECTURE.md"))
            let name = path.Groups[1].Value
            let folder = Path.Combine(Repository.Root, Path.GetDirectoryName(name)!)
            where !Directory.Exists(folder)
            || (Path.GetFileName(name) is { Length: > 0 } last && Directory.GetFileSystemEntries(folder, last).Length == 0)
            select name);

    [Fact]
    public void Every_type_and_member_in_the_map_exists()
    {
        var files = Repository.Sources("src").ToDictionary(f => f, f => Declarations.CodeOf(Repository.Read(f)));
        var types = files.Keys.SelectMany(Declarations.Of).ToLookup(t => t.Name);
        Repository.AssertNone(
            from Match name in TypeName().Matches(Repository.Read("docs/ARCHITECTURE.md"))
            let type = types[name.Groups["type"].Value]
            where !type.Any() || !type.Any(t => files[t.File].Contains(name.Groups["member"].Value, StringComparison.Ordinal))
            select name.Value);
    }

    [Fact]
    public async Task Help_names_every_verb_and_every_verb_has_examples()
    {
        var verbs = CommandTree.Build(Console(new MemoryStream())).Subcommands;
        string overview = await HelpAsync();
        foreach (var verb in verbs)
        {
            Assert.Contains("  " + verb.Name + " ", overview, StringComparison.Ordinal);
            Assert.NotEmpty(CommandTree.ExamplesOf(verb));
            Assert.Contains("Examples:", await HelpAsync(verb.Name), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Every_example_of_a_native_verb_parses()
    {
        await using var output = new MemoryStream();
        var root = CommandTree.Build(Console(output));
        foreach (string example in root.Subcommands.Where(c => c.Name is not ("img" or "io" or "nbd")).SelectMany(CommandTree.ExamplesOf))
        {
            string line = example[(example.IndexOf("paddock", StringComparison.Ordinal) + "paddock ".Length)..].Split(" < ")[0];
            Repository.AssertNone(root.Parse(line.Split(" > ")[0]).Errors.Select(e => $"{example}: {e.Message}"));
        }
    }

    /// <summary>A comment that cites "zoned-qcow2.md 1.2" names a heading "1.2 ..." of a page under docs/.</summary>
    [Fact]
    public void Every_citation_of_a_page_resolves_to_a_section()
    {
        var pages = Repository.Files("docs", "*.md").ToLookup(p => Path.GetFileName(p)!, StringComparer.Ordinal);
        var sections = pages.ToDictionary(p => p.Key, p => p.SelectMany(file => Section().Matches(Repository.Read(file)))
            .Select(m => m.Groups[1].Value).ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal);
        var files = Repository.Sources("src").Concat(Repository.Sources("tests")).ToList();
        var citations = files.SelectMany(file => Citation().Matches(Repository.Read(file)).Select(m => (file, m))).ToList();
        Assert.NotEmpty(citations);
        Repository.AssertNone(citations
            .Where(c => !sections.TryGetValue(c.m.Groups[1].Value, out var known) || !known.Contains(c.m.Groups[2].Value))
            .Select(c => $"{c.file}: {c.m.Value}"));
        Repository.AssertNone(files.SelectMany(file => AnonymousCitation().Matches(Repository.Read(file))
            .Select(m => $"{file}: {m.Value}: name the page")));
    }

    [Fact]
    public void The_licence_is_in_full()
        => Assert.Contains("END OF TERMS AND CONDITIONS", Repository.Read("LICENSE"), StringComparison.Ordinal);

    private static IEnumerable<(string Text, int Number)> Prose(string[] lines)
    {
        bool code = false;
        foreach (var (index, line) in lines.Index())
        {
            if (line.TrimStart().StartsWith("```", StringComparison.Ordinal))
            {
                code = !code;
            }
            else if (!code && !line.TrimStart().StartsWith('|'))
            {
                yield return (line, index + 1);
            }
        }
    }

    private static async Task<string> HelpAsync(params string[] verb)
    {
        await using var output = new MemoryStream();
        Assert.Equal(0, await NativeTools.RunAsync([.. verb, "--help"], Console(output)));
        return System.Text.Encoding.UTF8.GetString(output.ToArray());
    }

    private static NativeConsole Console(Stream output) => new(output, Stream.Null, Stream.Null);

    // `FlushOrder` or `FlushOrder.RunAsync`, not a file's name
    [GeneratedRegex(@"`(?<type>[A-Z][a-z]\w*)(?:\.(?!cs\b)(?<member>[A-Z]\w+))?`")]
    private static partial Regex TypeName();

    [GeneratedRegex(@"^#+ (\d+(?:\.\d+)*)\.? ", RegexOptions.Multiline)]
    private static partial Regex Section();

    [GeneratedRegex(@"\b([\w-]+\.md),? (\d+(?:\.\d+)*)")]
    private static partial Regex Citation();

    [GeneratedRegex(@"///?.*\bspec(ification)? \d")]
    private static partial Regex AnonymousCitation();

    [GeneratedRegex(@"`((?:src|tests|bench|docs|build)/[^`\s]+)`")]
    private static partial Regex MapPath();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"<(?:Global)?Package(?:Version|Reference) Include=""([^""]+)""")]
    private static partial Regex Package();

    [GeneratedRegex(@"<(?:Global)?PackageReference (?:Include|Update)=""([^""]+)""")]
    private static partial Regex PackageReference();
}
