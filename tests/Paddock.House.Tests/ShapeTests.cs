using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>The shape of types: one job each, nothing unused, nothing that is wired up from outside after construction.</summary>
public partial class ShapeTests
{
    private const int MaxClass = 600;

    // each list empties: an entry that has become unnecessary fails its test
    private static readonly string[] TooLongYet =
    [
    ];

    private static readonly string[] UnusedYet =
    [
    ];

    private static readonly string[] DefaultYet =
    [
    ];

    private static readonly string[] SettableYet =
    [
        "Command.Deferred",
    ];

    private static IEnumerable<string> Code
        => Repository.Sources("src").Concat(Repository.Sources("tests")).Concat(Repository.Sources("bench"));

    [Fact]
    public void No_class_is_over_600_lines_over_all_its_files()
    {
        var tooLong = from type in Code.SelectMany(Declarations.Outermost)
                      group type by $"{type.Project} {type.Name}" into parts
                      let lines = parts.Sum(p => p.Body.Length)
                      where lines > MaxClass
                      select (parts.Key, Finding: $"{parts.Key}: {lines} lines in {parts.Count()} files");
        AssertOnly(TooLongYet, tooLong);
    }

    [Fact]
    public void No_type_is_unused()
    {
        // the public API is used outside of src: by tests and samples
        var outside = Repository.Sources("tests").Concat(Repository.Sources("samples")).Concat(Repository.Sources("bench"))
            .SelectMany(f => Word().Matches(Declarations.CodeOf(Repository.Read(f)))).Select(m => m.Value).ToHashSet();
        var files = Repository.Sources("src").ToDictionary(f => f, f => Declarations.CodeOf(Repository.Read(f)));
        var uses = files.Values.SelectMany(text => Word().Matches(text)).GroupBy(m => m.Value).ToDictionary(g => g.Key, g => g.Count());
        var types = files.Keys.SelectMany(Declarations.Of).ToLookup(t => t.Name);
        var unused = from type in types
                     where !type.Any(t => IsUsedWithoutItsName(t, files[t.File]))
                     let inside = type.Sum(t => Constructors(t).Count) + type.Count()
                     where uses.GetValueOrDefault(type.Key) <= inside && !(type.Any(t => t.IsPublic) && outside.Contains(type.Key))
                     select ($"{type.First().Project} {type.Key}", $"{type.First().File}: {type.Key}");
        AssertOnly(UnusedYet, unused);
    }

    [Fact]
    public void No_interface_has_default_members()
    {
        var wrong = from type in Repository.Sources("src").SelectMany(Declarations.Of)
                    where type.Kind == "interface"
                    from line in type.Body.Index()
                    let text = Declarations.CodeOf(line.Item)
                    where !text.Contains("static", StringComparison.Ordinal)
                        && (text.Contains("=>", StringComparison.Ordinal) || OpeningBrace().IsMatch(text[Indent(type.Body[0])..]))
                    select (type.Name, $"{type.File}:{type.Line + line.Index}: {line.Item.Trim()}");
        AssertOnly(DefaultYet, wrong);
    }

    [Fact]
    public void No_delegate_can_be_set_from_outside()
    {
        var delegates = Repository.Sources("src").SelectMany(f => DelegateName().Matches(Repository.Read(f))).Select(m => m.Groups[1].Value)
            .Append("Action").Append("Func").ToHashSet();
        var wrong = from type in Repository.Sources("src").SelectMany(Declarations.Of)
                    from line in type.Body.Index()
                    let match = SettableMember().Match(line.Item)
                    where match.Success && delegates.Contains(match.Groups["type"].Value)
                    select ($"{type.Name}.{match.Groups["name"].Value}", $"{type.File}:{type.Line + line.Index}: {line.Item.Trim()}");
        AssertOnly(SettableYet, wrong);
    }

    // entry points and classes of extension methods
    private static bool IsUsedWithoutItsName(Declaration type, string text) => type.Name is "Program" || ExtensionMember().IsMatch(text);

    private static List<Match> Constructors(Declaration type)
        => [.. type.Body.Skip(1)
            .SelectMany(line => Regex.Matches(line, $@"^\s+(?:public|internal|private|protected) (?:unsafe )?{type.Name}\("))];

    private static int Indent(string line) => line.Length - line.TrimStart().Length;

    private static void AssertOnly(string[] known, IEnumerable<(string Key, string Finding)> found)
    {
        var all = found.ToList();
        Repository.AssertNone(all.Where(f => !known.Contains(f.Key)).Select(f => f.Finding));
        Repository.AssertNone(
            known.Where(k => all.TrueForAll(f => f.Key != k)).Select(k => $"{k} is listed but obeys the rule: remove it from the list"));
    }

    [GeneratedRegex(@"\w+")]
    private static partial Regex Word();

    // a member's own brace, not that of the interface; accessors have theirs on the member's line: "{ get; }"
    [GeneratedRegex(@"^ +\{|\b(?:get|set|init)\s*\{")]
    private static partial Regex OpeningBrace();

    [GeneratedRegex(@"\bdelegate [\w<>\[\]?.]+ (\w+)")]
    private static partial Regex DelegateName();

    [GeneratedRegex(
        @"^\s+(?:public|internal|protected) (?!static readonly|readonly|const|event|.*\bdelegate\b)"
        + @"(?:(?:static|required|virtual|override) )*"
        + @"(?<type>\w+)(?:<[^={};]*>)?\?? (?<name>\w+)(?:\s*(?:;|=[^>])|.*[{ ]set;)")]
    private static partial Regex SettableMember();

    [GeneratedRegex(@"\(this |\bextension\b")]
    private static partial Regex ExtensionMember();
}
